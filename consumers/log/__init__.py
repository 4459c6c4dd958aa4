"""The log: partitioned, append-only, durable. One interface; Kafka and SQLite implement it.

A record's partition is `partition_of(key)` wherever it is written, so both logs shard agents alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self
from zlib import crc32

Cleanup = Literal["delete", "compact,delete"]


class LogError(Exception):
    """The log cannot be reached, or is not as it must be; the message is one sentence that says what to do."""


@dataclass(slots=True, frozen=True)
class Topic:
    """What a topic must be. `retention_ms` bounds age; `segment_ms` how soon old records can go."""

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

    `lost` is how many offsets retention took between the position asked for and `offsets[0]`.
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
        """The next offset of each partition."""

    async def poll(self, *, max_records: int = 10_000, wait: float = 0.2) -> list[Chunk]:
        """Return what is there, at most `max_records`, waiting up to `wait` seconds for the first."""

    async def close(self) -> None:
        """Stop reading."""


class Log(Protocol):
    """An open log. Use it as an async context manager."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def ensure(self, topics: Sequence[Topic]) -> None:
        """Create absent topics; raise LogError where one exists with other partitions or cleanup."""

    async def append(self, topic: str, entries: Sequence[Entry]) -> None:
        """Append in order per partition; return once all are durable. Raises LogError when they are not."""

    async def begin_offsets(self, topic: str) -> dict[int, int]:
        """Return the oldest offset still held, for every partition of the topic."""

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the next offset to be written, for every partition of the topic."""

    async def reader(self, topic: str, positions: Mapping[int, int]) -> Reader:
        """Read the given partitions from the given offsets."""


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
