"""The log: partitioned, append-only, durable. One interface; Kafka and SQLite implement it.

A record's partition is `partition_of(key)` wherever it is written, so both logs shard agents alike.
Offsets of a partition count up from 0; compaction and retention leave holes, nothing renumbers them.
`consumers.log.opening.open_log` opens either.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self
from zlib import crc32

Cleanup = Literal["delete", "compact,delete"]


MAX_RECORD_BYTES = 1_000_000
"""Key and value together; a broker with its default settings takes no more, so neither log does."""


class LogError(Exception):
    """The log cannot be reached, or is not as it must be; the message is one sentence that says what to do."""


@dataclass(slots=True)
class LogStats:
    """What a log has done since it was opened. Bytes are keys and values before compression."""

    appends: int = 0
    appended: int = 0
    bytes: int = 0
    append_seconds: float = 0.0
    """Summed over `appends` that succeeded: the time until the log said that it holds them."""
    retries: int = 0
    lost: int = 0
    """Records that retention took before a reader of this log reached them."""
    last_error: str | None = None


@dataclass(slots=True, frozen=True)
class Topic:
    """What a topic must be. `retention_ms` bounds the age of its records."""

    name: str
    partitions: int
    retention_ms: int
    cleanup: Cleanup = "delete"


@dataclass(slots=True, frozen=True)
class Entry:
    """A record to append; a value of None is a tombstone. `partition` overrides the key's own."""

    key: bytes
    value: bytes | None
    partition: int | None = None


@dataclass(slots=True)
class Chunk:
    """Consecutive records of one partition, oldest first; `offsets[i]` belongs to `values[i]` and `keys[i]`.

    `lost` is how many offsets retention took between the position asked for and `offsets[0]`, or the end where
    nothing is left: only then is a chunk empty. What compaction took is not lost, it was superseded.
    """

    partition: int
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    lost: int = 0


class Reader(Protocol):
    """Reads some partitions of one topic from given offsets; remembers its positions, commits nothing."""

    @property
    def positions(self) -> Mapping[int, int]:
        """The next offset of each partition: where a reader opened later goes on. Moves with the chunks returned."""

    async def poll(self, *, max_records: int = 10_000, wait: float = 0.2, without: Collection[int] = ()) -> list[Chunk]:
        """Return what is there, at most `max_records`, waiting up to `wait` seconds for the first.

        The partitions in `without` are left for later. Records come once each and in order within a partition; no
        partition waits for another to be drained. Raises LogError where the log cannot be read.
        """

    async def close(self) -> None:
        """Stop reading."""


class Log(Protocol):
    """An open log. Use it as an async context manager; one event loop uses it."""

    @property
    def stats(self) -> LogStats:
        """The live counters of this log."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def ensure(self, topics: Sequence[Topic]) -> None:
        """Create absent topics; raise LogError where one exists with other partitions or cleanup."""

    async def append(self, topic: str, entries: Sequence[Entry]) -> None:
        """Append in order per partition; return once all are durable.

        Raises LogError when they are not known to be: then some, all or none of them may be in the log, and the
        caller finds out by reading. Only a record that is too large or a topic that is absent is refused whole.
        """

    async def begin_offsets(self, topic: str) -> dict[int, int]:
        """Return where each partition begins: offsets below were taken by retention."""

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the next offset to be written, for every partition of the topic."""

    async def reader(self, topic: str, positions: Mapping[int, int]) -> Reader:
        """Read the given partitions from the given offsets. Closing the log closes its readers.

        Raises LogError where a position is beyond the end of its partition: it is of another log.
        """


@dataclass(slots=True, frozen=True)
class Topics:
    """The four topics of the daemon under one prefix."""

    prefix: str = "starlingd"
    events: str = field(init=False)
    attributions: str = field(init=False)
    runs: str = field(init=False)
    deadletters: str = field(init=False)

    def __post_init__(self) -> None:
        for topic in ("events", "attributions", "runs", "deadletters"):
            object.__setattr__(self, topic, f"{self.prefix}.{topic}.v1")


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key: CRC-32 modulo, as librdkafka's `consistent` partitioner has it."""
    return crc32(key) % partitions
