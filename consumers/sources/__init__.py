"""Sources: each turns one way of speaking of the network into deliveries of agent events with a cursor.

A source never raises for bad input: what cannot be read is in `Delivery.rejected`, with its reason, and the
stream goes on. It raises `SourceError` only where no retry can help (a file that is absent, a refused option).
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from consumers.events import Event


class SourceError(Exception):
    """A source that cannot be read at all; the message is one sentence that says what to do."""


@dataclass(slots=True, frozen=True)
class Rejected:
    """An operation or frame that could not be read. Holds no bytes of it: they may be the text of a post."""

    reason: str
    detail: str
    where: str
    size: int


@dataclass(slots=True, frozen=True, order=True)
class Gap:
    """A stretch of network time, µs, that no continuous stream covered.

    `start` is 0 where the source does not know when it began: before this process, at the end of what the log holds.
    """

    start: int
    end: int
    cause: str


@dataclass(slots=True)
class Delivery:
    """Consecutive frames of one source, in order.

    Every operation seen (one of a commit, or a frame that is not a commit, or a frame that cannot be read)
    is accepted, ignored with a reason, or rejected with a reason:
    `operations == accepted + ignored.total() + len(rejected)`. An accepted one has one to three events.
    """

    cursor: int | None = None
    """Where to resume once every event here is in the log; None when nothing here moves it."""
    frames: int = 0
    operations: int = 0
    accepted: int = 0
    events: list[Event] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


class Source(Protocol):
    """A stream of deliveries from a cursor (None: from now, or from a recording's beginning)."""

    @property
    def name(self) -> str:
        """The source id, `protocol:where`, written as `src` in its events."""

    def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        """Yield deliveries until the recording ends, or for ever on a live source."""
