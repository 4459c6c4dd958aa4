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
from functools import partial
from pathlib import Path

import orjson
import structlog

from consumers.bridge.cursors import Waypoint
from consumers.bridge.deadletters import Letters, Limits
from consumers.bridge.identity import HORIZON, Memory
from consumers.bridge.intake import Intake
from consumers.bridge.place import SavedPlace
from consumers.bridge.readback import claim_and_read_back, tail_of
from consumers.bridge.tenure import SupersededError, Tenure
from consumers.gaps import gap_record
from consumers.log import Entry, Log, Topics
from consumers.sources import Delivery, Gap, Source

DOWNTIME = "downtime"
_SAVE_EVERY = 1_000_000
_LIVE = frozenset({"relay", "jetstream1", "jetstream2"})
_logger = structlog.get_logger(__name__)


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
        self._place = SavedPlace(directory, source.name)
        self._memory = Memory(HORIZON) if memory is None else memory
        self._letters = Letters(source.name, limits or Limits(), now)
        self._now = now
        self._tenure = Tenure(log, topics.events, partitions, source.name)
        self._downtime_from: int | None = None
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
        return _SAVE_EVERY / 1e6 if self._place.behind(self.stats.cursor) else None

    async def restore(self) -> None:
        """Claim the source, find the place to go on from, and read back what the log holds around it."""
        log, topic = self._log, self._topics.events
        saved = await self._place.load()
        start = saved.trail[0] if saved.trail else await tail_of(log, topic)
        tail = await claim_and_read_back(
            log, topic, start, self._memory, self._tenure, after=saved.epoch, now=self._now
        )
        self._place.begin(Waypoint(tail.t or 0, start.offsets))
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
        cursor, t = self.stats.cursor, self.stats.t
        if not self._place.behind(cursor) or self._letters.doubtful:
            return
        await self._tenure.check()
        ends = partial(self._log.end_offsets, self._topics.events)
        await self._place.save(cursor, t, self._tenure.epoch, ends)
        self.stats.saves += 1
