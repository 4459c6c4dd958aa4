"""Whether a host's seqs follow each other: jumps, cursors out of date, and hosts that began their seqs anew.

A host that began anew counts from a low seq again, and marks of the greatest seq would drop all of it as repeats. So
seqs carry an epoch above their 48 bits, in events and in cursors: it grows with each new beginning, and what a source
says stays monotonic. On the host's wire the epoch is left out.
"""

from dataclasses import dataclass
from typing import Final

from consumers.sources import Gap
from consumers.sources.decoding.reading import MAX_SEQ, Mark

RESET_DISTANCE: Final = 100_000
"""A seq this far below the last is a new beginning whatever its time."""

REORDER_DISTANCE: Final = 100
"""Seqs on one connection may come out of order by so many."""

UNKNOWN: Final = 0
"""The start of a gap that began before this process: where the stream before the cursor ended is not known here."""


@dataclass(slots=True)
class Continuity:
    """The last place in a stream. `dense`: each seq is the one before plus one, as the network's relays have it."""

    dense: bool
    cursor: int | None = None
    t: int = UNKNOWN
    """The time of the last frame with a place, never ahead of the clock: gaps begin here."""
    newest: int = UNKNOWN
    """The greatest time said: what repeats is not beyond it."""
    unread: int = 0
    """Frames since the last one with a place: each may be one of the seqs that seem to be missing."""
    first: bool = False
    """The next frame is the first of its connection."""
    cause: str | None = None
    """Why the next frame cannot continue the last one, where the host said so."""
    resets: int = 0
    anew: bool = False
    """The host began anew and no frame of the new epoch has come: there is no cursor to give it."""

    @property
    def base(self) -> int:
        """What is added to the host's seqs."""
        return (self.cursor or 0) // MAX_SEQ * MAX_SEQ

    @property
    def wire(self) -> int | None:
        """The cursor to give the host, None for the live tip."""
        return None if self.anew else self.seq

    @property
    def seq(self) -> int | None:
        """The last seq as the host counts, None before the first."""
        return None if self.cursor is None else self.cursor % MAX_SEQ

    def see(self, mark: Mark, now: int) -> Gap | None:
        """Move to a frame's place; return the gap before it, if there is one. `now` in µs."""
        last = self.seq
        gap = None
        if mark.t is None:
            self.unread += 1
            return None
        t = min(mark.t, now)
        if self.cause is not None:
            gap = self._gap(t, self.cause)
        elif last is not None and self.dense and mark.seq > last + 1 + self.unread:
            gap = self._gap(t, "seq_jump")
        self.first, self.cause, self.unread, self.anew = False, None, 0, False
        self.cursor = max(self.cursor or 0, self.base + mark.seq)
        self.t = t
        self.newest = max(self.newest, mark.t)
        return gap

    def begins_anew(self, mark: Mark) -> bool:
        """Tell whether a frame shows that the host began its seqs anew: a lower seq, of something not said before."""
        if self.seq is None or self.anew or mark.t is None or mark.seq >= self.seq:
            return False
        distance = self.seq - mark.seq
        unsaid = self.newest != UNKNOWN and mark.t > self.newest
        return distance > RESET_DISTANCE or (unsaid and (self.first or distance > REORDER_DISTANCE))

    def restart(self, cause: str) -> None:
        """Begin the next epoch, unless nothing of this one came yet: the host's seqs do not compare with the cursor."""
        if self.anew:
            return
        self.resets += 1
        self.cursor = self.base + MAX_SEQ
        self.cause = cause
        self.anew = True

    def _gap(self, end: int, cause: str) -> Gap:
        # Times are of many clocks: those on either side of a gap may even be the wrong way round.
        return Gap(min(self.t, end), max(self.t, end, min(self.t, end) + 1), cause)
