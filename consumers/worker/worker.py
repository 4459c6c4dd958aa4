"""The worker: reads its partitions of the events topic, folds them into windows, and hands on each that closes.

While a window is handed on nothing is folded: the log is the buffer. So the windows are a function of what of the log
was read, and a checkpoint, taken between two closes, holds windows, offsets and marks of one moment. After a crash
the windows closed since the last checkpoint close again with the same values.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import structlog

from consumers.log import Chunk, Log, Reader
from consumers.snapshot import Snapshot
from consumers.sources import Gap
from consumers.windows.fold import FOREVER, first_time
from consumers.windows.group import Windows
from consumers.windows.shape import SECOND, Shape
from consumers.windows.watermark import Idleness, least
from consumers.worker.checkpoints import CheckpointError
from consumers.worker.saving import Saving

RETENTION = "retention"
"""The cause of a gap where the log dropped records before they were read."""

_ENDS_EVERY = SECOND
_logger = structlog.get_logger(__name__)

OnClose = Callable[[Snapshot], Awaitable[object]]


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
    ) -> None:
        self.windows = Windows(shape, partitions)
        self.stats = WorkerStats()
        self._log = log
        self._topic = topic
        self._on_close = on_close
        self._now = now
        self._saving = saving
        self._closed_before = closed_before
        self._max_records = max_records
        self._backlog: dict[int, deque[tuple[Chunk, int]]] = {partition: deque() for partition in partitions}
        self._lost: dict[int, int] = {}
        self._begins: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._ends_at = self._saved_at = -FOREVER
        self._erased_when_saved: int | None = None
        self._expected: set[int] = set()
        self._reader: Reader

    async def start(self) -> None:
        """Take up from the newest checkpoint that is of use, or from the beginning of the log."""
        await self._look()
        positions = await asyncio.to_thread(self._restore)
        if self._saving:
            await self._saving.settle()
        if positions is None:
            positions = {partition: self._begins[partition] for partition in self._backlog}
            self.stats.rebuilt = True
        else:
            self._closed_before = 0
        self._reader = await self._log.reader(self._topic, positions)
        self._expected = {partition for partition in positions if not self._at_end(partition)}
        clock = self._clock()
        self._idleness = Idleness(self._backlog, self.windows.shape.idle_timeout, clock)
        self._saved_at = clock
        self.stats.restored = True
        _logger.info("worker started", rebuilt=self.stats.rebuilt, agents=self.windows.agents, behind=self._behind())

    def _clock(self) -> int:
        return self._now() if self._now else 0

    def _restore(self) -> dict[int, int] | None:
        """Load the windows; return the offsets that they go on from, None where there is no checkpoint of use."""
        if self._saving is None:
            return None
        restored = self._saving.restore(self.windows.shape, self._ends, self._backlog)
        if restored is None:
            return None
        self.windows, offsets = restored
        return offsets

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then save a last checkpoint. Raises what the log or `on_close` raises."""
        while not stop.is_set():
            await self.step()
        await self.checkpoint()
        await self.close()

    async def close(self) -> None:
        """Stop reading."""
        await self._reader.close()

    async def step(self, wait: float = 0.2) -> int:
        """Read once, fold, hand on what closes, and save when it is time; return how many records came."""
        chunks = await self._reader.poll(max_records=self._max_records, wait=wait, without=self._ahead())
        clock = self._clock()
        for chunk in chunks:
            self._receive(chunk)
            self._idleness.heard(chunk.partition, clock)
            self._expected.discard(chunk.partition)
        if self._now and clock - self._ends_at >= _ENDS_EVERY:
            await self._look()
            self._ends_at = clock
        await self._settle(self._watermark)
        self.stats.behind = self._behind()
        if self._saving and clock - self._saved_at >= self._saving.every:
            await self.checkpoint()
        return sum(len(chunk.values) for chunk in chunks)

    def _ahead(self) -> list[int]:
        """Return the partitions of which enough was read until the others are there.

        Read on all alike, those with fewer records would get ahead, and what was read of them would have no bound.
        Where the others have given all that they hold, nothing can be waited for.
        """
        ahead = [
            partition
            for partition, backlog in self._backlog.items()
            if sum(len(chunk.values) for chunk, _ in backlog) >= self._max_records
        ]
        return [] if all(self._at_end(partition) for partition in self._backlog.keys() - ahead) else ahead

    def _receive(self, chunk: Chunk) -> None:
        """Put a chunk in the backlog. A loss with nothing after it waits for the records that say how long it was."""
        lost = self._lost.pop(chunk.partition, 0) + chunk.lost
        if chunk.values:
            chunk.lost = lost
            self._backlog[chunk.partition].append((chunk, 0))
        elif lost:
            self._lost[chunk.partition] = lost

    async def finish(self) -> None:
        """End a replay: read to the end of the log, then close the window of the last event, and all before it."""
        await self._look()
        while not all(self._at_end(partition) for partition in self._backlog):
            await self.step()
        self._expected.clear()
        await self._settle(self._last_watermark)

    async def _settle(self, watermark: Callable[[], int | None]) -> None:
        """Fold what was read and close what is due, in turns, until neither goes on."""
        if self.windows.head is None:
            if not self._begin():
                return
            if not self._closed_before:
                # Before the first run of all: what runs carry to the next could not be had from the log again.
                await self.checkpoint()
        while True:
            self._fold()
            self.stats.watermark = mark = watermark()
            if mark is None or mark < self.windows.limit:
                return
            snapshot = await asyncio.to_thread(self.windows.close, mark)
            if snapshot is not None and snapshot.end > self._closed_before:
                await self._on_close(snapshot)
                self.stats.closed += 1

    def _begin(self) -> bool:
        """Begin the windows at the earliest first event, once every partition that holds records gave its first."""
        if self._expected:
            return False
        firsts = (first_time(chunk.values) for backlog in self._backlog.values() for chunk, _ in backlog)
        times = [t for t in firsts if t is not None]
        if not times:
            return False
        self.windows.begin(min(times))
        return True

    def _fold(self) -> None:
        """Fold the backlog of each partition up to the end of the next window."""
        ceiling = self._now() + self.windows.shape.skew if self._now else FOREVER
        for partition, backlog in self._backlog.items():
            while backlog:
                chunk, start = backlog[0]
                if start == 0 and chunk.lost:
                    self._say_lost(partition, chunk)
                stop = self.windows.fold(partition, chunk.values, start, ceiling)  # type: ignore[arg-type]
                if stop < len(chunk.values):
                    backlog[0] = (chunk, stop)
                    break
                backlog.popleft()

    def _say_lost(self, partition: int, chunk: Chunk) -> None:
        """Record as a gap what retention took before it was read."""
        self.windows.stats.lost += chunk.lost
        end = first_time(chunk.values)
        top = self.windows.parts[partition].top
        if end is not None and top is not None:
            self.windows.gaps.add(Gap(top, max(top, end), RETENTION))
        _logger.error("retention outran the worker", partition=partition, records=chunk.lost)
        chunk.lost = 0

    def _watermark(self) -> int | None:
        """Return how far the stream is: the least of the partitions that are worth waiting for, else the wall clock."""
        clock = self._clock()
        waited = [partition for partition in self._backlog if not self._silent(partition, clock)]
        if waited:
            return least(self.windows.tops, waited)
        greatest = self.windows.greatest
        wall = clock - self.windows.shape.idle_timeout
        return wall if greatest is None else max(greatest, wall)

    def _silent(self, partition: int, clock: int) -> bool:
        """Tell whether a partition is read to its end and has been silent; without a clock, none is."""
        if self._now is None or self._backlog[partition]:
            return False
        return self._at_end(partition) and self._idleness.idle(partition, clock)

    def _at_end(self, partition: int) -> bool:
        """Tell whether nothing that the log still held, when last looked at, is left to read."""
        return max(self._reader.positions[partition], self._begins[partition]) >= self._ends[partition]

    async def _look(self) -> None:
        """Ask the log where its partitions begin and end."""
        self._begins = await self._log.begin_offsets(self._topic)
        self._ends = await self._log.end_offsets(self._topic)

    def _last_watermark(self) -> int | None:
        """Return the watermark of a replay that has ended: only partitions with records not folded hold it back."""
        waited = [partition for partition, backlog in self._backlog.items() if backlog]
        greatest = self.windows.greatest
        if waited or greatest is None:
            return least(self.windows.tops, waited)
        shape = self.windows.shape
        return shape.head_after(greatest) * shape.bucket + shape.lateness

    def _offsets(self) -> dict[int, int]:
        """Return the offset of the first record of each partition that is not folded."""
        return {
            partition: backlog[0][0].offsets[backlog[0][1]] if backlog else self._reader.positions[partition]
            for partition, backlog in self._backlog.items()
        }

    @property
    def lags(self) -> dict[int, int]:
        """How many records of each partition, of those seen in the log, are not folded; empty before the start."""
        if not self.stats.restored:
            return {}
        return {
            partition: max(0, self._ends[partition] - max(offset, self._begins[partition]))
            for partition, offset in self._offsets().items()
        }

    def _behind(self) -> int:
        return sum(self.lags.values())

    async def checkpoint(self) -> None:
        """Save where the windows are now. A disk that fails is said and counted; the checkpoint before still stands."""
        if self._saving is None or self.windows.head is None:
            return
        saving, now, erased = self._saving, self._clock(), self.windows.stats.erased
        try:
            await asyncio.to_thread(
                saving.save, self.windows, self._offsets(), now, alone=erased != self._erased_when_saved
            )
            # What is saved now may name whom the next run buries: then the next checkpoint takes its place.
            self._erased_when_saved = None if self.windows.burying else erased
        except CheckpointError as error:
            self.stats.checkpoint_failures += 1
            _logger.error("checkpoint failed", error=str(error))  # noqa: TRY400 - the sentence says it all
        self._saved_at = now
