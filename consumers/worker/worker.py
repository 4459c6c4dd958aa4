"""The worker: reads its partitions of the events topic, folds them into windows, and hands on each that closes.

While a window is handed on nothing is folded: the log is the buffer. So the windows are a function of what of the log
was read, and a checkpoint, taken between two closes, holds windows, offsets and marks of one moment. After a crash
the windows closed since the last checkpoint close again with the same values.

Ranks that share the partitions tell each other where they are, and each draws the same conclusions from it: they
begin, close each window, save and end at the same moment.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from time import monotonic

import structlog

from consumers.log import Chunk, Log, Reader
from consumers.peers import Alone, Peers
from consumers.snapshot import Snapshot
from consumers.sources import Gap
from consumers.windows.group import Windows
from consumers.windows.idleness import Idleness
from consumers.windows.meaning import first_time
from consumers.windows.shape import FOREVER, SECOND, Shape
from consumers.worker.agreement import Standing, beginning, last_watermark, watermark
from consumers.worker.checkpoints import CheckpointError
from consumers.worker.saving import Saving

RETENTION = "retention"
"""The cause of a gap where the log dropped records before they were read."""

_ENDS_EVERY = SECOND
_logger = structlog.get_logger(__name__)


class RestoreTimeoutError(CheckpointError):
    """A checkpoint that could be neither read nor refused in time; the thread that reads it may never end."""

    overdue = True


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
        peers: Peers | None = None,
    ) -> None:
        self._peers: Peers = peers or Alone()
        self.windows = Windows(shape, partitions, peers=self._peers)
        self.stats = WorkerStats()
        self.left = False
        """Whether all ranks have agreed to end."""
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
        self._met_at = -math.inf
        self._erased_when_saved: int | None = None
        self._expected: set[int] = set()
        self._reader: Reader

    async def start(self) -> None:
        """Take up from the newest checkpoint that is of use, or from the beginning of the log."""
        await self._look()
        positions = await self._restored()
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

    async def _restored(self) -> dict[int, int] | None:
        """Load the windows within the time that there is for it."""
        patience = self._saving.patience / SECOND if self._saving else None
        try:
            async with asyncio.timeout(patience):
                return await asyncio.to_thread(self._restore)
        except TimeoutError:
            assert self._saving is not None
            stats = self._saving.checkpoints.stats
            raise RestoreTimeoutError(
                f"after {patience:g} s, {stats.read} of {stats.to_read} bytes of the checkpoint were there: see what "
                "holds up its store, or raise checkpoints.patience"
            ) from None

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
        """Work until `stop` is set at one of the ranks, then save a last checkpoint. Raises as `step` does."""
        while not self.left:
            await self.step(leaving=stop.is_set())
        await self.checkpoint()
        await self.close()

    async def close(self) -> None:
        """Stop reading."""
        await self._reader.close()

    async def step(self, wait: float = 0.2, *, leaving: bool = False) -> int:
        """Read once, fold, hand on what closes, and save when it is time; return how many records came.

        Raises what the log, the other ranks or `on_close` raise. With `leaving`, all ranks have `left` soon after.
        """
        chunks = [] if leaving or self._waits_for_others() else await self._poll(wait)
        if self._now and self._clock() - self._ends_at >= _ENDS_EVERY:
            await self._look()
            self._ends_at = self._clock()
        self._fold()
        if leaving or self._waits_for_others() or monotonic() - self._met_at >= self._peers.pause:
            await self._settle(watermark, leaving=leaving)
            self._met_at = monotonic()
        self.stats.behind = self._behind()
        return sum(len(chunk.values) for chunk in chunks)

    async def _poll(self, wait: float) -> list[Chunk]:
        """Read what is there into the backlog."""
        chunks = await self._reader.poll(max_records=self._max_records, wait=wait, without=self._ahead())
        clock = self._clock()
        for chunk in chunks:
            self._receive(chunk)
            self._idleness.heard(chunk.partition, clock)
            self._expected.discard(chunk.partition)
        return chunks

    def _waits_for_others(self) -> bool:
        """Tell whether only the other ranks are missing for the windows to begin, or for the next one to close."""
        if self._peers.size == 1:
            return False
        if self.windows.head is None:
            return not self._expected and any(self._backlog.values())
        tops = self._tops(self._silent)
        return bool(tops) and all(top is not None and top >= self.windows.limit for top in tops)

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
        await self._settle(last_watermark, ended=lambda partition, _: not self._backlog[partition])

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
            standings = await self._peers.meet(self._standing(ended or self._silent, leaving=leaving))
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
        begun = self.windows.head is not None
        firsts = (first_time(chunk.values) for backlog in self._backlog.values() for chunk, _ in backlog if not begun)
        return Standing(
            expecting=bool(self._expected),
            first=min((t for t in firsts if t is not None), default=None),
            tops=self._tops(passed_over),
            greatest=self.windows.greatest,
            clock=clock,
            due=self._saving is not None and clock - self._saved_at >= self._saving.every,
            leaving=leaving,
        )

    def _tops(self, passed_over: Callable[[int, int], bool]) -> tuple[int | None, ...]:
        """Return the greatest time of each partition that is worth waiting for."""
        clock, tops = self._clock(), self.windows.tops
        return tuple(tops[partition] for partition in self._backlog if not passed_over(partition, clock))

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
