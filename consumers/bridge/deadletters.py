"""Dead letters: what could not be read, told to whoever mends it, never so much that they become the stream.

A letter holds reason, source, place, size and time; never bytes of what was refused, which may be someone's text. All
of these are short by their form, so the topic is bounded by letters a minute times its retention. A letter that an
earlier life of the bridge wrote for the same place is not written again.

A stream of which most is refused is not diverted here. It means that upstream changed its form, or that this version
cannot read it, and both are mended by a new version: until then the bridge ends, and its place on disk stays before
what it could not read, so that the new version reads it while upstream keeps it.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from consumers.log import Entry, Log
from consumers.sources import Rejected

VERSION: Final = 1
RECALLED: Final = 10_000
"""Letters of earlier lives that are known on start, at most, of each partition."""

_MINUTE: Final = 60_000_000
_LEAST_DOUBT: Final = 100
_SETTLED: Final = "settled"


class DivertedError(Exception):
    """Most of what a source gives cannot be read; the message is one sentence."""


@dataclass(slots=True, frozen=True)
class Limits:
    """Letters a minute: at most `per_minute`, and beyond the first `free` at most `share` of the minute's operations.

    The bridge ends when over `stop_share` of the last `stop_over` operations are refused; a share of 1 never ends it.
    """

    per_minute: int = 600
    share: float = 0.1
    free: int = 60
    stop_share: float = 0.5
    stop_over: int = 10_000


@dataclass(slots=True, frozen=True)
class Letter:
    """One operation that could not be read. `where` is `source id@place`; `size` in bytes; `t`, µs, when it was met."""

    reason: str
    src: str
    where: str
    size: int
    t: int

    def encode(self) -> bytes:
        """Return the letter as JSON."""
        return orjson.dumps({"v": VERSION, **asdict(self)})


class _Last:
    """How many of the last operations, `over` of them or a delivery more, were refused."""

    def __init__(self, over: int) -> None:
        self.operations = self.refused = 0
        self._over = over
        self._pieces: deque[tuple[int, int]] = deque()

    def add(self, operations: int, refused: int) -> None:
        """Count a delivery, and no longer count the oldest ones."""
        self._pieces.append((operations, refused))
        self.operations += operations
        self.refused += refused
        while self.operations - self._pieces[0][0] >= self._over:
            gone, of_them = self._pieces.popleft()
            self.operations -= gone
            self.refused -= of_them


class Letters:
    """Writes the letters of one source within limits. `now` gives µs."""

    def __init__(self, src: str, limits: Limits, now: Callable[[], int]) -> None:
        self._src, self._limits, self._now = src, limits, now
        self._minute = self._operations = self._written = 0
        self._recalled: frozenset[tuple[str, str]] = frozenset()
        self._recent, self._newest = _Last(limits.stop_over), _Last(limits.stop_over // 10)
        self._reasons: Counter[str] = Counter()

    async def recall(self, log: Log, topic: str) -> None:
        """Know the letters that were written before: they bound those of this minute, and none is written twice."""
        now = self._now()
        letters = [one for one in await open_letters(log, topic, RECALLED) if one.src == self._src]
        self._recalled = frozenset((one.where, one.reason) for one in letters)
        self._minute = now // _MINUTE
        self._written = sum(one.t // _MINUTE == self._minute for one in letters)

    def write(self, rejected: Sequence[Rejected], operations: int) -> list[Entry]:
        """Return the letters of some operations, as many as are allowed; the rest is only counted by the caller."""
        self._weigh(rejected, operations)
        now = self._now()
        if now // _MINUTE != self._minute:
            self._minute, self._operations, self._written = now // _MINUTE, 0, 0
        self._operations += operations
        limits = self._limits
        allowed = min(limits.per_minute, limits.free + int(limits.share * self._operations))
        new = [one for one in rejected if (one.where, one.reason) not in self._recalled] if rejected else []
        kept = new[: max(0, allowed - self._written)]
        self._written += len(kept)
        key = self._src.encode()
        return [Entry(key, Letter(one.reason, self._src, one.where, one.size, now).encode()) for one in kept]

    def _weigh(self, rejected: Sequence[Rejected], operations: int) -> None:
        """Count what is refused among the last operations."""
        if not operations:
            return
        if not self._recent.refused:
            self._reasons.clear()
        self._recent.add(operations, len(rejected))
        self._newest.add(operations, len(rejected))
        if rejected:
            self._reasons.update(one.reason for one in rejected)

    @property
    def doubtful(self) -> bool:
        """Whether so much is refused that the place must not be saved: the bridge may be about to end."""
        share = self._limits.stop_share
        return any(
            last.refused >= _LEAST_DOUBT and last.refused > share * last.operations
            for last in (self._newest, self._recent)
        )

    def check(self) -> None:
        """Raise DivertedError where too much of what came last was refused."""
        limits, recent = self._limits, self._recent
        if recent.refused > limits.stop_share * max(limits.stop_over, recent.operations):
            ((reason, _),) = self._reasons.most_common(1)
            raise DivertedError(
                f"Of the last {recent.operations:,} operations of {self._src} {recent.refused:,} could not be read, "
                f"most for {reason}: upstream has changed its form, or this version cannot read it; the place stays, "
                "so run a version that can, or raise deadletters.stop_share to go on without them."
            )


async def open_letters(log: Log, topic: str, last: int | None = None) -> list[Letter]:
    """Return the letters that no retry has settled, oldest first; of the `last` records of each partition only."""
    begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
    starts = {part: begins[part] if last is None else max(begins[part], end - last) for part, end in ends.items()}
    letters: dict[str, list[Letter]] = {}
    reader = await log.reader(topic, starts)
    try:
        while any(max(reader.positions[part], begins[part]) < end for part, end in ends.items()):
            for chunk in await reader.poll():
                for where, letter in _read(chunk.values):
                    if letter is None:
                        letters.pop(where, None)
                    else:
                        letters.setdefault(where, []).append(letter)
            begins = await log.begin_offsets(topic)
    finally:
        await reader.close()
    return sorted((one for some in letters.values() for one in some), key=lambda one: (one.t, one.where))


def settled(letters: Iterable[Letter], now: int) -> list[Entry]:
    """Return the records that say of the letters' places that they need no retry any more."""
    places = {letter.where: letter.src for letter in letters}
    return [
        Entry(src.encode(), orjson.dumps({"v": VERSION, "kind": _SETTLED, "src": src, "where": where, "t": now}))
        for where, src in places.items()
    ]


def _read(values: Sequence[bytes | None]) -> Iterator[tuple[str, Letter | None]]:
    """Yield each record's place with its letter, None where it settles the place; pass over what is neither."""
    for value in values:
        try:
            record = orjson.loads(value)  # type: ignore[arg-type]  # None is refused, and passed over
            if record.get("kind") == _SETTLED:
                yield record["where"], None
            else:
                letter = Letter(record["reason"], record["src"], record["where"], record["size"], record["t"])
                yield letter.where, letter
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
