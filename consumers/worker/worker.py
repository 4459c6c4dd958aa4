"""The worker: reads its partitions of the events topic, folds them into windows, and hands on each that closes.

While a window is handed on nothing is folded: the log is the buffer. So the windows are a function of what of the log
was read, and a checkpoint, taken between two closes, holds windows, offsets and marks of one moment. After a crash
the windows closed since the last checkpoint close again with the same values.

Ranks that share the partitions tell each other where they are, and each draws the same conclusions from it: they
begin, close each window, save and end at the same moment.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from time import monotonic

import structlog

from consumers.log import Chunk, Log
from consumers.peers import Alone, Peers
from consumers.snapshot import Snapshot
from consumers.sources import Gap
from consumers.windows.group import Windows
from consumers.windows.meaning import first_time
from consumers.windows.shape import FOREVER, Shape
from consumers.worker.agreement import Standing, beginning, last_watermark, watermark
from consumers.worker.backlog import Backlog
from consumers.worker.keeping import Keeping
from consumers.worker.saving import Saving

RETENTION = "retention"
"""The cause of a gap where the log dropped records before they were read."""

OnClose = Callable[[Snapshot], Awaitable[object]]

_logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class WorkerStats:
    """Where the worker is. Times in µs."""

    restored: bool = False
    rebuilt: bool = False
    """No checkpoint was of use: the windows were built from the log's beginning."""
    closed: int = 0
    watermark: int | None = None
    behind: int = 0
    """Records of its partitions in the log that it has not folded."""
    checkpoint_failures: int = 0


class Worker:
    """Windows over some partitions. `now` gives wall-clock µs; without it, as in a replay, only events close windows.

    `closed_before`: windows that end by then were handed on in an earlier life; where the windows are built from the
    log's beginning they are not again. After a checkpoint all that follow it are, and so is what goes with it.
    """

    def __init__(
        self,
        log: Log,
        topic: str,
        shape: Shape,
        partitions: Collection[int],
        on_close: OnClose,
        *,
        now: Callable[[], int] | None = None,
        saving: Saving | None = None,
        closed_before: int = 0,
        max_records: int = 5_000,
        peers: Peers | None = None,
    ) -> None:
        self._peers: Peers = peers or Alone()
        self.windows = Windows(shape, partitions, peers=self._peers)
        self.stats = WorkerStats()
        self.left = False
        """Whether all ranks have agreed to end."""
        self._on_close = on_close
        self._now = now
        self._keeping = Keeping(saving)
        self._closed_before = closed_before
        self._backlog = Backlog(
            log, topic, partitions, max_records=max_records, idle_timeout=shape.idle_timeout, now=now
        )
        self._met_at = -math.inf

    async def start(self) -> None:
        """Take up from the newest checkpoint that is of use, or from the beginning of the log."""
        await self._backlog.look()
        begins, partitions = self._backlog.begins, self._backlog.partitions
        restored = await self._keeping.restore(self.windows.shape, self._backlog.ends, partitions)
        if restored is None:
            positions = {partition: begins[partition] for partition in partitions}
            self.stats.rebuilt = True
        else:
            self.windows, positions = restored
            self._closed_before = 0
        await self._backlog.open(positions)
        self._keeping.begin(self._clock())
        self.stats.restored = True
        _logger.info("worker started", rebuilt=self.stats.rebuilt, agents=self.windows.agents, behind=self._behind())

    def _clock(self) -> int:
        return self._now() if self._now else 0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set at one of the ranks, then save a last checkpoint. Raises as `step` does."""
        while not self.left:
            await self.step(leaving=stop.is_set())
        await self.checkpoint()
        await self.close()

    async def close(self) -> None:
        """Stop reading."""
        await self._backlog.close()

    async def step(self, wait: float = 0.2, *, leaving: bool = False) -> int:
        """Read once, fold, hand on what closes, and save when it is time; return how many records came.

        Raises what the log, the other ranks or `on_close` raise. With `leaving`, all ranks have `left` soon after.
        """
        came = 0 if leaving or self._waits_for_others() else await self._backlog.poll(wait)
        await self._backlog.look_again()
        self._fold()
        if leaving or self._waits_for_others() or monotonic() - self._met_at >= self._peers.pause:
            await self._settle(watermark, leaving=leaving)
            self._met_at = monotonic()
        self.stats.behind = self._behind()
        return came

    def _waits_for_others(self) -> bool:
        """Tell whether only the other ranks are missing for the windows to begin, or for the next one to close."""
        if self._peers.size == 1:
            return False
        if self.windows.head is None:
            return not self._backlog.expected and any(self._backlog.held.values())
        tops = self._tops(self._backlog.silent)
        return bool(tops) and all(top is not None and top >= self.windows.limit for top in tops)

    async def finish(self) -> None:
        """End a replay: read to the end of the log, then close the window of the last event, and all before it."""
        await self._backlog.look()
        while not self._backlog.read_out():
            await self.step()
        self._backlog.expected.clear()
        await self._settle(last_watermark, ended=lambda partition, _: not self._backlog.held[partition])

    async def _settle(
        self,
        mark_of: Callable[[Sequence[Standing], Shape], int | None],
        *,
        ended: Callable[[int, int], bool] | None = None,
        leaving: bool = False,
    ) -> None:
        """Tell the other ranks where this one is and close what is due, in turns, until nothing is.

        All ranks do the same here, for they know the same.
        """
        while True:
            standings = await self._peers.meet(self._standing(ended or self._backlog.silent, leaving=leaving))
            if any(one.leaving for one in standings):
                self.left = True
                return
            if self.windows.head is None:
                if not await self._begin(beginning(standings)):
                    return
                continue
            self.stats.watermark = mark = mark_of(standings, self.windows.shape)
            if mark is None or mark < self.windows.limit:
                break
            snapshot = await asyncio.to_thread(self.windows.close, mark)
            if snapshot is not None and snapshot.end > self._closed_before:
                await self._on_close(snapshot)
                self.stats.closed += 1
            self._fold()
        if any(one.due for one in standings):
            await self.checkpoint()

    def _standing(self, passed_over: Callable[[int, int], bool], *, leaving: bool) -> Standing:
        """Return where this rank is."""
        clock = self._clock()
        return Standing(
            expecting=bool(self._backlog.expected),
            first=self._backlog.first() if self.windows.head is None else None,
            tops=self._tops(passed_over),
            greatest=self.windows.greatest,
            clock=clock,
            due=self._keeping.due(clock),
            leaving=leaving,
        )

    def _tops(self, passed_over: Callable[[int, int], bool]) -> tuple[int | None, ...]:
        """Return the greatest time of each partition that is worth waiting for."""
        clock, tops = self._clock(), self.windows.tops
        return tuple(tops[partition] for partition in self._backlog.partitions if not passed_over(partition, clock))

    async def _begin(self, first: int | None) -> bool:
        """Begin the windows at the first event of all; tell whether they have begun."""
        if first is None:
            return False
        self.windows.begin(first)
        if not self._closed_before:
            # Before the first run of all: what runs carry to the next could not be had from the log again.
            await self.checkpoint()
        self._fold()
        return True

    def _fold(self) -> None:
        """Fold the backlog of each partition up to the end of the next window."""
        if self.windows.head is None:
            return
        ceiling = self._now() + self.windows.shape.skew if self._now else FOREVER

        def fold(chunk: Chunk, start: int) -> int:
            if start == 0 and chunk.lost:
                self._say_lost(chunk)
            return self.windows.fold(chunk.partition, chunk.values, start, ceiling)  # type: ignore[arg-type]

        self._backlog.hand_on(fold)

    def _say_lost(self, chunk: Chunk) -> None:
        """Record as a gap what retention took before it was read."""
        self.windows.stats.lost += chunk.lost
        end = first_time(chunk.values)
        top = self.windows.parts[chunk.partition].top
        if end is not None and top is not None:
            self.windows.gaps.add(Gap(top, max(top, end), RETENTION))
        _logger.error("retention outran the worker", partition=chunk.partition, records=chunk.lost)
        chunk.lost = 0

    @property
    def lags(self) -> dict[int, int]:
        """How many records of each partition, of those seen in the log, are not folded; empty before the start."""
        return self._backlog.lags() if self.stats.restored else {}

    def _behind(self) -> int:
        return sum(self.lags.values())

    async def checkpoint(self) -> None:
        """Save where the windows are now. A disk that fails is said and counted; the checkpoint before still stands."""
        if self.windows.head is None:
            return
        if not await self._keeping.save(self.windows, self._backlog.offsets(), self._clock()):
            self.stats.checkpoint_failures += 1
