"""Which agent events are in the log already, told by what they are: what the upstream repeats is dropped here.

An event is known by its agent, role and kind with the record's URI and the revision of its repository, which are the
same on every host and in every protocol; accounts' statuses have neither and are known by their time. Kept are the
events of the last `horizon` of stream time, at most twice as many.
"""

from collections.abc import Hashable, Mapping
from typing import Any

from consumers.events import Event

HORIZON = 600_000_000
"""Stream time, µs, over which repeats are told: longer than any overlap that a source asks for on reconnecting."""

_MOST = 3_000_000
"""Identities in one generation: a bound on memory that holds whatever the clocks upstream say."""


class Memory:
    """Identities of events, in two generations of which the older is forgotten; times in µs.

    What is noted is staged until `commit`, so that events whose append failed are still new when they come again.
    """

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon
        self._newer: set[int] = set()
        self._older: set[int] = set()
        self._staged: set[int] = set()
        self._begun: int | None = None

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def note(self, event: Event) -> bool:
        """Stage an event; return False where it is known already."""
        key = hash(identity_of(event))
        if key in self._newer or key in self._older or key in self._staged:
            return False
        self._staged.add(key)
        self._turn(event.t)
        return True

    def commit(self) -> None:
        """Remember what was staged: it is in the log."""
        self._newer |= self._staged
        self._staged.clear()

    def forget_staged(self) -> None:
        """Forget what was staged: it may not be in the log."""
        self._staged.clear()

    def _turn(self, t: int) -> None:
        """Begin a generation when the newer one is a horizon old, or full."""
        if self._begun is None:
            self._begun = t
        if t - self._begun >= self.horizon or len(self._newer) >= _MOST:
            self._older, self._newer = self._newer, set()
            self._begun = t


def identity_of(event: Event) -> Hashable:
    """Return what an event is known by."""
    if event.kind in ("account", "identity"):
        return event.agent, event.kind, event.status, event.t
    if event.rev is None:
        return event.agent, event.role, event.kind, event.peer, event.src, event.seq, event.op
    return event.agent, event.role, event.kind, event.rev, event.uri


def read_event(record: Mapping[str, Any]) -> Event:
    """Read an event's log record as far as its identity goes; raises KeyError where it is none."""
    return Event(
        agent=record["agent"],
        role=record["role"],
        kind=record["kind"],
        peer=record["peer"],
        t=record["t"],
        src=record["src"],
        seq=record["seq"],
        rev=record["rev"],
        op=record["op"],
        uri=record["uri"],
        status=record.get("status"),
        epoch=record.get("epoch", 0),
    )
