"""What a host has and sends, and what each of its messages means to who counts them: the campaign's oracle."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection

from tests.campaigns.faults.wires import Entry, Wire, moment, rev
from tests.servers.fake_host import Act, end
from tests.unit.consumers.frames import ACTOR, LIKE

Record = tuple[str, str]
"""A record by the revision of its repository and its URI: what no host changes."""


def records_of(n: int, likes: int = 1) -> list[Record]:
    return [(rev(n), f"at://{ACTOR}/{LIKE}/3mptbyplj{index:04d}") for index in range(likes)]


@dataclass(frozen=True)
class Meaning:
    """What becomes of a message: records, or a reason to ignore or to reject it."""

    records: tuple[Record, ...] = ()
    ignored: str | None = None
    rejected: str | None = None


@dataclass
class Reckoning:
    """What must become of the messages that were sent, all of them read."""

    accepted: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)


class Script:
    """One host's messages. `made` has every record that the network saw, sent or not, with its time, µs."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.archive: list[Entry] = []
        self.made: dict[Record, int] = {}
        self._meanings: dict[bytes, Meaning] = {}
        self._before = 0
        """The item before which the host's seqs began; they begin anew with `anew`."""

    def good(self, n: int, **odd: object) -> Entry:
        """Keep the nth item; return it."""
        entry = Entry(self.wire.place(n - self._before), n, b"")
        message = self.wire.item(n, entry.place, **odd)
        records = records_of(n, int(str(odd.get("likes", 1))))
        self.made |= dict.fromkeys(records, moment(n))
        self._meanings[message] = Meaning(tuple(records))
        self.archive.append(Entry(entry.place, n, message))
        return self.archive[-1]

    def goods(self, first: int, last: int) -> None:
        for n in range(first, last + 1):
            self.good(n)

    def bad(self, n: int, name: str) -> None:
        """Keep a message in the nth item's place that cannot be read."""
        message, reason = self.wire.bad(n)[name]
        self.refused(n, message(), reason)

    def refused(self, n: int, message: bytes, reason: str) -> None:
        self._meanings[message] = Meaning(rejected=reason)
        self.archive.append(Entry(self.wire.place(n - self._before), n, message))

    def again(self, first: int, last: int) -> None:
        """Keep a stretch twice."""
        self.archive += [entry for entry in self.archive if first <= entry.n <= last]

    def anew(self, before: int) -> None:
        """Begin another archive, whose places are counted from after the item `before`."""
        self.archive, self._before = [], before

    def says(self, name: str) -> bytes:
        assert self.wire.says
        message = self.wire.says(name)
        self._meanings[message] = Meaning(ignored="info")
        return message

    def fails(self, name: str) -> bytes:
        assert self.wire.fails
        message = self.wire.fails(name)
        self._meanings[message] = Meaning(ignored="error_frame")
        return message

    def sends(
        self,
        upto: int | None = None,
        then: int | None = None,
        *,
        since: int = 0,
        first: Iterable[bytes] = (),
        last: Iterable[bytes] = (),
        tip: bool = False,
    ) -> Act:
        """Send what is kept, as far as the cursor wants it and from the item `since` to `upto`, then close, or not.

        `first` and `last` go before and after it. At the `tip` the cursor counts for nothing.
        """
        archive = self.archive

        async def act(connection: ServerConnection, cursor: int | None) -> None:
            for message in first:
                await self.send(connection, message)
            for entry in archive:
                wanted = cursor is None or tip or self.wire.gives(entry, cursor)
                if wanted and entry.n >= since and (upto is None or entry.n <= upto):
                    await self.send(connection, entry.message)
            for message in last:
                await self.send(connection, message)
            await end(connection, then)

        return act

    async def send(self, connection: ServerConnection, message: bytes) -> None:
        await connection.send(message, text=not self.wire.binary)

    def reckon(self, sent: Sequence[bytes]) -> Reckoning:
        """Add up what was sent."""
        reckoning = Reckoning()
        for message in sent:
            meaning = self._meanings[message]
            reckoning.accepted += len(meaning.records)
            if meaning.ignored:
                reckoning.ignored[meaning.ignored] += 1
            if meaning.rejected:
                reckoning.rejected[meaning.rejected] += 1
        return reckoning
