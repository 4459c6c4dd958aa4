"""The embedded log: one SQLite file in WAL mode, one process, no broker.

An append returns after its commit has reached the disk (`synchronous=full`): neither kill -9 nor a power cut takes
what was acknowledged, as far as the disk keeps its own word. With `normal` an append waits for no disk: kill -9
still takes nothing, a power cut may take the last seconds, and a cursor saved elsewhere may then be ahead of the log.
SQLite runs on threads of its own, so the event loop never waits for a disk: one writes, one reads.
`:memory:` is a log that lives as long as it is open. A file does not shrink: what retention frees is written again.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Self, TypeVar

import structlog

from consumers.log import Entry, LogError, LogStats, Topic
from consumers.log.positions import position_fault
from consumers.log.sqlite_faults import claim, told
from consumers.log.sqlite_reader import SqliteReader
from consumers.log.sqlite_store import Store, connect
from consumers.log.sqlite_upkeep import Upkeep

T = TypeVar("T")
Synchronous = Literal["full", "normal"]
_UPKEEP_SECONDS = 1.0
_REST = 2.0
"""How long upkeep rests after a step, in times of what the step took."""
_logger = structlog.get_logger(__name__)


class SqliteLog:
    """A log in one file. `clock` gives Unix seconds: the age of records is counted by it."""

    def __init__(
        self,
        path: str | Path,
        *,
        synchronous: Synchronous = "full",
        read_only: bool = False,
        tombstone_seconds: float = 86_400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = str(path)
        self.read_only = read_only
        self._synchronous = synchronous
        self._tombstone_ms = round(tombstone_seconds * 1000)
        self._clock = clock
        self._stats = LogStats()
        self._lock: int | None = None
        self._next_upkeep = 0.0
        self._keeping_up: asyncio.Future[None]
        self._appended: dict[str, asyncio.Event] = {}

    @property
    def stats(self) -> LogStats:
        """The live counters of this log."""
        return self._stats

    async def __aenter__(self) -> Self:
        if self.path != ":memory:" and not self.read_only:
            self._lock = claim(self.path)
        self._writing = ThreadPoolExecutor(1, "log-write")
        self._reading = self._writing if self.path == ":memory:" else ThreadPoolExecutor(1, "log-read")
        self._keeping_up = asyncio.get_running_loop().create_future()
        self._keeping_up.set_result(None)
        try:
            await self._on(self._writing, self._open)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Finish what was begun and close the file."""
        self._keeping_up.cancel()
        await asyncio.wait({self._keeping_up})
        for pool in {self._writing, self._reading}:
            await asyncio.to_thread(pool.shutdown)
        for store in ("_store", "_read_store"):
            if hasattr(self, store):
                getattr(self, store).connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open(self) -> None:
        if self.read_only and not Path(self.path).exists():
            raise LogError(f"There is no log at {self.path}: start the daemon that writes it first.")
        connection = connect(self.path, writable=not self.read_only, synchronous=self._synchronous)
        self._store = self._read_store = Store(connection, self.path)
        self._upkeep = Upkeep(self._store, self._tombstone_ms)
        if self.path != ":memory:":
            self._read_store = Store(connect(self.path, writable=False), self.path)

    async def ensure(self, topics: Sequence[Topic]) -> None:
        """Create absent topics; raise LogError where one exists with other partitions or cleanup."""
        await self._on(self._writing, self._store.ensure, topics)

    async def append(self, topic: str, entries: Sequence[Entry]) -> None:
        """Append in order per partition, in one transaction; return once it is committed."""
        if not entries:
            return
        began = time.perf_counter()
        size = await self._on(self._writing, self._store.append, topic, entries, round(self._clock() * 1000))
        self._stats.appends += 1
        self._stats.appended += len(entries)
        self._stats.bytes += size
        self._stats.append_seconds += time.perf_counter() - began
        self.arrival(topic).set()
        del self._appended[topic]
        if self._keeping_up.done() and self._clock() >= self._next_upkeep:
            self._keeping_up = asyncio.create_task(self._keep_up())

    async def _keep_up(self) -> None:
        """Do what upkeep is due, on the writing thread, for at most a part of its time: appends come first."""
        try:
            more = True
            while more:
                began = time.perf_counter()
                more = await self._on(self._writing, self._upkeep.step, round(self._clock() * 1000))
                if more:
                    await asyncio.sleep(_REST * (time.perf_counter() - began))
        except LogError as error:  # kept in the stats; an append meets it too if it lasts
            _logger.warning("log upkeep failed", error=str(error))
        self._next_upkeep = self._clock() + _UPKEEP_SECONDS

    async def begin_offsets(self, topic: str) -> dict[int, int]:
        """Return where each partition begins: offsets below were taken by retention."""
        bounds = await self._on(self._reading, self._read_store.bounds, topic)
        return {partition: begin for partition, (begin, _) in bounds.items()}

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the next offset to be written, for every partition of the topic."""
        bounds = await self._on(self._reading, self._read_store.bounds, topic)
        return {partition: end for partition, (_, end) in bounds.items()}

    async def reader(self, topic: str, positions: Mapping[int, int]) -> SqliteReader:
        """Read the given partitions from the given offsets."""
        number, _ = await self._on(self._reading, self._read_store.topic, topic)
        ends = await self.end_offsets(topic)
        if fault := position_fault(self.path, topic, positions, ends):
            raise LogError(fault)
        return SqliteReader(self, number, topic, positions)

    def arrival(self, topic: str) -> asyncio.Event:
        """Return the event that the next append to a topic sets."""
        return self._appended.setdefault(topic, asyncio.Event())

    async def read(self, function: Callable[[Store], T]) -> T:
        """Run a function over the store on the reading thread."""
        return await self._on(self._reading, function, self._read_store)

    async def _on(self, pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: object) -> T:
        """Run a function on one of the two threads; its errors become LogErrors."""
        try:
            with told(self.path):
                return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
        except LogError as error:
            self._stats.last_error = str(error)
            raise
