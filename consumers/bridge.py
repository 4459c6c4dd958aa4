"""The bridge: what a source delivers goes into the log, each agent event once, whenever and however it is stopped.

The cursor is saved only over what the log has acknowledged. So after a crash the log may hold more than the cursor
says, never less: on start the log's tail is read back and what is in it already is dropped when it comes again. A log
that is slow slows the source: what waits between them is bounded.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import structlog

from consumers.cursors import CursorFile, Offsets, Position
from consumers.deadletters import Letters, Limits
from consumers.gaps import gap_record
from consumers.identity import Memory
from consumers.log import Entry, Log, Topics
from consumers.readback import TAIL, read_back
from consumers.sources import Delivery, Gap, Source

HORIZON = 600_000_000
"""Stream time, µs, over which repeats are told: longer than any overlap that a source asks for on reconnecting."""

DOWNTIME = "downtime"
_SAVE_EVERY = 1_000_000
_QUEUED_DELIVERIES = 16
_BATCH_EVENTS = 5_000
_TRAIL_STEPS = 8
_LIVE = frozenset({"relay", "jetstream1", "jetstream2"})
_logger = structlog.get_logger(__name__)


class StateError(Exception):
    """The bridge's place cannot be saved; the message is one sentence."""


@dataclass(slots=True)
class BridgeStats:
    """What came and what became of it: `operations == accepted + ignored + rejected`."""

    frames: int = 0
    operations: int = 0
    accepted: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    """Agent events appended, by kind."""
    duplicates: int = 0
    """Agent events dropped because the log holds them."""
    deadletters: int = 0
    overflow: int = 0
    """Rejected operations for which no dead letter was written, for there were too many."""
    gaps: Counter[str] = field(default_factory=Counter)
    cursor: int | None = None
    t: int | None = None
    """The greatest time appended, µs."""
    saves: int = 0


class Bridge:
    """Carries one source into the log. `now` gives µs; without `directory` nothing is saved, as in a replay."""

    def __init__(
        self,
        source: Source,
        log: Log,
        topics: Topics,
        partitions: int,
        directory: Path | None,
        *,
        now: Callable[[], int],
        memory: Memory | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.source = source
        self.stats = BridgeStats()
        self._log, self._topics, self._partitions = log, topics, partitions
        self._file = CursorFile(directory, source.name) if directory else None
        self._memory = Memory(HORIZON) if memory is None else memory
        self._letters = Letters(source.name, limits or Limits(), now)
        self._now = now
        self._trail: list[tuple[int, Offsets]] = []
        self._downtime_from: int | None = None
        self._saved: int | None = None
        self._saved_at = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Carry until `stop` is set or the source ends. Raises what the source or the log raises."""
        await self.restore()
        queue: asyncio.Queue[Delivery | None] = asyncio.Queue(_QUEUED_DELIVERIES)
        pump = asyncio.create_task(self._pump(queue))
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stopping.done():
                batch = await self._next(queue, stopping)
                if batch is None:
                    await pump
                    break
                await self.deliver(batch)
                if self._now() - self._saved_at >= _SAVE_EVERY:
                    await self.save()
        finally:
            pump.cancel()
            stopping.cancel()
            await asyncio.gather(pump, stopping, return_exceptions=True)
        await self.deliver(_waiting(queue))
        await self.save()

    async def _pump(self, queue: asyncio.Queue[Delivery | None]) -> None:
        """Read the source into the queue, which when full stops the reading; None says that the source ended."""
        try:
            async with aclosing(self.source.deliveries(self.stats.cursor)) as deliveries:  # type: ignore[type-var]
                async for delivery in deliveries:
                    await queue.put(delivery)
        except asyncio.CancelledError:
            raise
        except BaseException:
            await queue.put(None)
            raise
        await queue.put(None)

    async def _next(
        self, queue: asyncio.Queue[Delivery | None], stopping: "asyncio.Task[bool]"
    ) -> list[Delivery] | None:
        """Return what is delivered, all that waits up to a batch; nothing when it is time to save; None at the end."""
        if queue.empty():
            getting = asyncio.create_task(queue.get())
            unsaved = self._file is not None and self.stats.cursor != self._saved
            patience = _SAVE_EVERY / 1e6 if unsaved else None
            await asyncio.wait({getting, stopping}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                return []
            first = getting.result()
        else:
            first = queue.get_nowait()
        if first is None:
            return None
        batch = [first]
        size = len(first.events)
        while size < _BATCH_EVENTS and not queue.empty():
            further = queue.get_nowait()
            if further is None:
                queue.put_nowait(None)
                break
            batch.append(further)
            size += len(further.events)
        return batch

    async def restore(self) -> None:
        """Find the place to go on from, and read back what the log holds beyond it and a horizon before it."""
        topic = self._topics.events
        saved = await asyncio.to_thread(self._file.load) if self._file else None
        ends = await self._log.end_offsets(topic)
        if saved is None or not saved.trail:
            starts = {partition: end - TAIL for partition, end in ends.items()}
        else:
            starts = saved.trail[0][1]
        tail = await read_back(self._log, topic, starts, self._memory, self.source.name)
        self.stats.t = tail.t
        if saved is not None:
            self.stats.cursor = self._saved = saved.cursor
            self._trail = saved.trail
            self.stats.t = max(filter(None, (tail.t, saved.t)), default=None)
        else:
            self.stats.cursor = tail.cursor(self.source.name)
        if not self._trail:
            self._trail = [(self.stats.t or 0, {partition: max(0, start) for partition, start in starts.items()})]
        protocol, _, where = self.source.name.partition(":")
        if self.stats.cursor is None and protocol in _LIVE and not where.startswith("file:"):
            self._downtime_from = self.stats.t
        self._saved_at = self._now()
        _logger.info(
            "bridge starts",
            src=self.source.name,
            cursor=self.stats.cursor,
            saved=saved is not None,
            read_back=tail.events,
        )

    async def deliver(self, batch: Sequence[Delivery]) -> None:
        """Append the new events of consecutive deliveries, then move the cursor over them."""
        if not batch:
            return
        entries: list[Entry] = []
        letters: list[Entry] = []
        appended: Counter[str] = Counter()
        top = self.stats.t
        for delivery in batch:
            letters += self._account(delivery)
            entries += self._gaps(delivery)
            for event in delivery.events:
                if self._memory.note(event):
                    entries.append(Entry(event.agent.encode(), event.encode()))
                    appended[event.kind] += 1
                    top = event.t if top is None or event.t > top else top
                else:
                    self.stats.duplicates += 1
        try:
            if entries:
                await self._log.append(self._topics.events, entries)
            if letters:
                await self._log.append(self._topics.deadletters, letters)
        except BaseException:
            self._memory.forget_staged()
            raise
        self._memory.commit()
        self.stats.events.update(appended)
        self.stats.deadletters += len(letters)
        self.stats.t = top
        self.stats.cursor = next((d.cursor for d in reversed(batch) if d.cursor is not None), self.stats.cursor)

    def _account(self, delivery: Delivery) -> list[Entry]:
        """Count a delivery; return its dead letters."""
        stats = self.stats
        stats.frames += delivery.frames
        stats.operations += delivery.operations
        stats.accepted += delivery.accepted
        stats.ignored.update(delivery.ignored)
        stats.rejected.update(rejected.reason for rejected in delivery.rejected)
        letters = self._letters.write(delivery.rejected, delivery.operations)
        stats.overflow += len(delivery.rejected) - len(letters)
        return letters

    def _gaps(self, delivery: Delivery) -> list[Entry]:
        """Return a delivery's gaps as records for every partition; one of unknown start began where the log ends."""
        gaps = delivery.gaps
        if self._downtime_from is not None and delivery.events:
            first = delivery.events[0].t
            if first > self._downtime_from:
                gaps = [Gap(self._downtime_from, first, DOWNTIME), *gaps]
            self._downtime_from = None
        entries = []
        for gap in gaps:
            known = gap if gap.start or self.stats.t is None else Gap(min(self.stats.t, gap.end), gap.end, gap.cause)
            self.stats.gaps[gap.cause] += 1
            value = orjson.dumps(gap_record(self.source.name, known))
            entries += [Entry(b"gap", value, partition) for partition in range(self._partitions)]
        return entries

    async def save(self) -> None:
        """Save the cursor durably, and where the log is. Only what the log acknowledged is in it."""
        self._saved_at = self._now()
        if self._file is None or self.stats.cursor == self._saved:
            return
        t = self.stats.t or 0
        if not self._trail or t - self._trail[-1][0] >= HORIZON // _TRAIL_STEPS:
            self._trail.append((t, await self._log.end_offsets(self._topics.events)))
        while len(self._trail) > 1 and self._trail[1][0] <= t - HORIZON:
            self._trail.pop(0)
        cursor = self.stats.cursor
        try:
            await asyncio.to_thread(self._file.save, Position(cursor, self.stats.t, self._trail))
        except OSError as error:
            raise StateError(
                f"The bridge's place cannot be saved in {self._file.path} ({error.strerror}): make room, or give "
                "another state directory."
            ) from error
        self._saved = cursor
        self.stats.saves += 1


def _waiting(queue: "asyncio.Queue[Delivery | None]") -> list[Delivery]:
    """Take what is left in a queue that nobody fills any more."""
    left = []
    while not queue.empty():
        delivery = queue.get_nowait()
        if delivery is not None:
            left.append(delivery)
    return left
