"""Shares out a batch among partitions, and refuses what neither log takes, before anything is written."""

from collections.abc import Sequence
from zlib import crc32

from consumers.log import MAX_RECORD_BYTES, Entry, LogError


def by_partition(topic: str, partitions: int, entries: Sequence[Entry]) -> tuple[dict[int, list[Entry]], int]:
    """Return the entries of each partition, in order, and the bytes of all keys and values."""
    shares: list[list[Entry]] = [[] for _ in range(partitions)]
    total = 0
    for entry in entries:
        value, partition = entry.value, entry.partition
        size = len(entry.key) + (0 if value is None else len(value))
        if size > MAX_RECORD_BYTES:
            raise LogError(f"A record for topic {topic} has {size} bytes: at most {MAX_RECORD_BYTES} are allowed.")
        if partition is None:
            partition = crc32(entry.key) % partitions
        elif not 0 <= partition < partitions:
            raise LogError(f"Topic {topic} has no partition {partition}, only {partitions}: correct the record.")
        shares[partition].append(entry)
        total += size
    return {partition: share for partition, share in enumerate(shares) if share}, total


def size_of(entry: Entry) -> int:
    """Return the bytes of key and value."""
    return len(entry.key) + (0 if entry.value is None else len(entry.value))
