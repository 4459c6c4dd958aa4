"""Dead letters: what could not be read, told to whoever mends it, never so much that they become the stream.

A letter holds reason, source, place, size and time; never bytes of what was refused, which may be someone's text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from consumers.log import Entry
from consumers.sources import Rejected

_MINUTE = 60_000_000


@dataclass(slots=True, frozen=True)
class Limits:
    """Letters a minute: at most `per_minute`, and beyond the first `free` at most `share` of the minute's operations.

    A decoder broken by a deploy refuses everything; its letters must not crowd out the log.
    """

    per_minute: int = 600
    share: float = 0.1
    free: int = 60


class Letters:
    """Writes the letters of one source within limits. `now` gives µs."""

    def __init__(self, src: str, limits: Limits, now: Callable[[], int]) -> None:
        self._src, self._limits, self._now = src, limits, now
        self._minute = self._operations = self._written = 0

    def write(self, rejected: Sequence[Rejected], operations: int) -> list[Entry]:
        """Return the letters of some operations, as many as are allowed; the rest is only counted by the caller."""
        now = self._now()
        if now // _MINUTE != self._minute:
            self._minute, self._operations, self._written = now // _MINUTE, 0, 0
        self._operations += operations
        limits = self._limits
        allowed = min(limits.per_minute, limits.free + int(limits.share * self._operations))
        kept = rejected[: max(0, allowed - self._written)]
        self._written += len(kept)
        return [Entry(self._src.encode(), self._letter(one, now)) for one in kept]

    def _letter(self, one: Rejected, now: int) -> bytes:
        letter = {"v": 1, "reason": one.reason, "src": self._src, "where": one.where, "size": one.size, "t": now}
        return orjson.dumps(letter)
