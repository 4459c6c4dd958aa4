"""The bridge: what a source delivers goes into the log, each agent event once, whenever and however it is stopped.

The cursor is saved only over what the log has acknowledged. So after a crash the log may hold more than the cursor
says, never less: on start the log's tail is read back and what is in it already is dropped when it comes again. Of two
bridges at one source the log counts the one that began last, and the other ends. A log that is slow slows the source:
what waits between them is bounded.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import structlog

from consumers.bridge.cursors import CursorFile, Position, Waypoint
from consumers.bridge.deadletters import Letters, Limits
from consumers.bridge.identity import Memory
from consumers.bridge.intake import Intake
from consumers.bridge.readback import TAIL, Tail, read_back
from consumers.bridge.tenure import SupersededError, Tenure
from consumers.gaps import gap_record
from consumers.log import Entry, Log, Topics
from consumers.sources import Delivery, Gap, Source

HORIZON = 600_000_000
"""Stream time, µs, over which repeats are told: longer than any overlap that a source asks for on reconnecting."""

DOWNTIME = "downtime"
_SAVE_EVERY = 1_000_000
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
    """Rejected operations for which no dead letter was written: there were too many, or it was there already."""
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
        self._tenure = Tenure(log, topics.events, partitions, source.name)
        self._trail: list[Waypoint] = []
        self._downtime_from: int | None = None
        self._saved: int | None = None
        self._saved_at = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Carry until `stop` is set or the source ends.

        Raises what the source or the log raises, SupersededError where another bridge has begun to read it, and
        DivertedError where most of it cannot be read.
        """
        try:
            await self.restore()
            await self._carry(stop)
        finally:
            await self._tenure.close()

    async def _carry(self, stop: asyncio.Event) -> None:
        async with Intake(self.source, self.stats.cursor, stop) as intake:
            while (batch := await intake.take(self._patience())) is not None:
                await self.deliver(batch)
                if self._now() - self._saved_at >= _SAVE_EVERY:
                    await self.save()
        with suppress(*(SupersededError,) if stop.is_set() else ()):  # told to end, it ends: another has begun
            await self.save()

    def _patience(self) -> float | None:
        """Return how many seconds to wait for the source before it is time to save; None where nothing is to save."""
        return _SAVE_EVERY / 1e6 if self._file is not None and self.stats.cursor != self._saved else None

    async def restore(self) -> None:
        """Claim the source, find the place to go on from, and read back what the log holds around it."""
        saved = (await asyncio.to_thread(self._file.load) if self._file else None) or Position(None)
        self._saved, self._trail = saved.cursor, saved.trail
        tail = await self._read_back(self._trail[0] if self._trail else None, saved.epoch)
        self.stats.t = max(filter(None, (tail.t, saved.t)), default=None)
        self.stats.cursor = tail.cursor()
        if saved.cursor is not None:
            # Where another bridge went on from there, what it wrote may be longer ago than repeats are told.
            passed = self.stats.cursor if tail.rival > saved.epoch else None
            self.stats.cursor = max(saved.cursor, passed or saved.cursor)
        protocol, _, where = self.source.name.partition(":")
        if self.stats.cursor is None and protocol in _LIVE and not where.startswith("file:"):
            self._downtime_from = self.stats.t
        self._saved_at = self._now()
        await self._letters.recall(self._log, self._topics.deadletters)
        _logger.info(
            "bridge starts",
            src=self.source.name,
            cursor=self.stats.cursor,
            saved=saved.cursor,
            read_back=tail.events,
            epoch=self._tenure.epoch,
        )

    async def _read_back(self, place: Waypoint | None, epoch: int) -> Tail:
        """Claim the source in an epoch greater than any before; return the log's tail from a place as it is then."""
        topic, tenure = self._topics.events, self._tenure
        if place is None:
            ends = await self._log.end_offsets(topic)
            place = Waypoint(0, {partition: max(0, end - TAIL) for partition, end in ends.items()})
        epoch = max(self._now(), epoch + 1)
        while True:
            await tenure.claim(epoch)
            tail = await read_back(self._log, topic, place, self._memory, tenure)
            if tail.rival < epoch:
                break
            epoch = max(self._now(), tail.rival + 1)
        self._trail = self._trail or [Waypoint(tail.t or 0, place.offsets)]
        return tail

    async def deliver(self, batch: Sequence[Delivery]) -> None:
        """Append the new events of consecutive deliveries, then move the cursor over them. Raises DivertedError."""
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
                event.epoch = self._tenure.epoch
                if self._memory.note(event):
                    entries.append(Entry(event.agent.encode(), event.encode()))
                    appended[event.kind] += 1
                    top = event.t if top is None else max(top, event.t)
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
        self._letters.check()

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
            value = orjson.dumps(gap_record(self.source.name, known, self._tenure.epoch))
            entries += [Entry(b"gap", value, partition) for partition in range(self._partitions)]
        return entries

    async def save(self) -> None:
        """Save the cursor durably, and where the log is. Only what the log acknowledged, and counts, is in it."""
        self._saved_at = self._now()
        cursor, t = self.stats.cursor, self.stats.t or 0
        if self._file is None or cursor == self._saved or self._letters.doubtful:
            return
        await self._tenure.check()
        if not self._trail or t - self._trail[-1].t >= HORIZON // _TRAIL_STEPS:
            self._trail.append(Waypoint(t, await self._log.end_offsets(self._topics.events), self._tenure.epoch))
        while len(self._trail) > 1 and self._trail[1].t <= t - HORIZON:
            self._trail.pop(0)
        try:
            await asyncio.to_thread(self._file.save, Position(cursor, self.stats.t, self._trail, self._tenure.epoch))
        except OSError as error:
            raise StateError(
                f"The bridge's place cannot be saved in {self._file.path} ({error.strerror}): make room, or give "
                "another state directory."
            ) from error
        self._saved = cursor
        self.stats.saves += 1
