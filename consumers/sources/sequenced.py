"""Live sources whose host numbers its frames: places, jumps, notices and seqs that begin anew."""

from abc import abstractmethod
from typing import Final

import structlog

from consumers.sources import Delivery
from consumers.sources.continuity import Continuity
from consumers.sources.decoding.reading import Mark, Notice
from consumers.sources.live import STEPPED_OVER, LiveSource

log = structlog.get_logger()

KNOWN_NOTICES: Final = frozenset({"OutdatedCursor", "FutureCursor", "ConsumerTooSlow"})
"""Counted by name; any other is `other`, since names become metric labels."""


class SequencedSource(LiveSource):
    """A live source whose host numbers its frames."""

    _continuity: Continuity

    def _begin(self, cursor: int | None, since: int | None) -> None:
        self._continuity = Continuity(dense=self._dense, cursor=cursor)
        if cursor is None and since is not None and self.starts_at_times:
            self._continuity.t = self._continuity.newest = since
        self._skip = 0

    @property
    def _cursor(self) -> int | None:
        return self._continuity.cursor

    @property
    @abstractmethod
    def _dense(self) -> bool:
        """Whether the host's seqs follow each other one by one."""

    @abstractmethod
    def _decode(self, frame: bytes, into: Delivery) -> Mark | Notice | None:
        """Decode a frame into a delivery."""

    @abstractmethod
    def _noticed(self, said: Notice) -> None:
        """Act on what the host says about the stream."""

    def _connected(self) -> None:
        self._continuity.first = True
        # All since the last place comes again, and is counted again, but for what was stepped over.
        self._continuity.unread = self._skip

    def _frame(self, frame: bytes, into: Delivery) -> None:
        continuity = self._continuity
        base = self._reading.seq_base = continuity.base
        before = len(into.events)
        place = self._decode(frame, into)
        if isinstance(place, Mark):
            if continuity.begins_anew(place):
                continuity.restart("seq_reset")
                for event in into.events[before:]:
                    event.seq += continuity.base - base
            self._skip = 0
            self._say(into, continuity.see(place, self._reading.now))
        elif isinstance(place, Notice):
            self.stats.notices[place.name if place.name in KNOWN_NOTICES else "other"] += 1
            log.warning("source_notice", source=self.name, name=place.name, message=place.message)
            self._noticed(place)
        else:
            self._unread()
        self.stats.resets = continuity.resets

    def _unread(self) -> None:
        self._continuity.unread += 1

    def _step_over(self) -> None:
        # A dense host's next seq is known; elsewhere it is not, and each time in vain goes twice as far.
        self._skip = self._skip + 1 if self._dense else self._skip * 2 or 1
        if self._skip > 1 and not self._dense:
            self._continuity.cause = STEPPED_OVER
