"""The embedded log: one SQLite file in WAL mode, one process, no broker.

An append returns after its commit has reached the disk (`synchronous=full`): neither kill -9 nor a power cut takes
what was acknowledged, as far as the disk keeps its own word. With `normal` an append waits for no disk: kill -9
still takes nothing, a power cut may take the last seconds, and a cursor saved elsewhere may then be ahead of the log.
SQLite runs on threads of its own, so the event loop never waits for a disk: one writes, one reads.
`:memory:` is a log that lives as long as it is open.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self, TypeVar

import structlog
from zstandard import ZstdError

from consumers.log import Entry, LogError, LogStats, Topic
from consumers.log.positions import position_fault
from consumers.log.sqlite_reader import SqliteReader
from consumers.log.sqlite_store import Store, connect
from consumers.log.sqlite_upkeep import Upkeep

T = TypeVar("T")
Synchronous = Literal["full", "normal"]
_UPKEEP_SECONDS = 1.0
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
        self._appended: dict[str, asyncio.Event] = {}

    @property
    def stats(self) -> LogStats:
        """The live counters of this log."""
        return self._stats

    async def __aenter__(self) -> Self:
        if self.path != ":memory:" and not self.read_only:
            self._lock = _claim(self.path)
        self._writing = ThreadPoolExecutor(1, "log-write")
        self._reading = self._writing if self.path == ":memory:" else ThreadPoolExecutor(1, "log-read")
        try:
            await self._on(self._writing, self._open)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Finish what was begun and close the file."""
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
        if (now := self._clock()) >= self._next_upkeep:
            self._next_upkeep = now + _UPKEEP_SECONDS
            self._writing.submit(self._keep_up, round(now * 1000))

    def _keep_up(self, now_ms: int) -> None:
        """Do a step of upkeep on the writing thread. A fault is logged; the next append meets it if it lasts."""
        try:
            if self._upkeep.step(now_ms):
                self._next_upkeep = 0.0
        except (sqlite3.Error, ZstdError) as error:
            self._stats.last_error = f"upkeep: {error}"
            _logger.warning("log upkeep failed", path=self.path, error=str(error))

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
            with _told(self.path):
                return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
        except LogError as error:
            self._stats.last_error = str(error)
            raise


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn what SQLite raises into a LogError of one sentence."""
    try:
        yield
    except (sqlite3.DatabaseError, ZstdError) as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_FULL"):
            advice = "make room on its disk; nothing of the last append was kept"
        elif name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or isinstance(error, ZstdError):
            advice = "the file is damaged or no log, so move it away and start anew or restore it"
        elif name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
            advice = "see that its directory exists and may be written"
        else:
            advice = "see that its disk works"
        raise LogError(f"The log {path} failed ({error}): {advice}.") from error
    except RuntimeError as error:  # an executor that is shut down says it so
        raise LogError(f"The log {path} is closed: open it before use.") from error


def _claim(path: str) -> int:
    """Lock the log for this process, until the descriptor returned is closed or the process ends."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LogError(
            f"The log {path} cannot be opened ({error.strerror}): give it a path that may be written."
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise LogError(f"Another process writes the log {path}: stop it, or give this one another path.") from None
    return descriptor
