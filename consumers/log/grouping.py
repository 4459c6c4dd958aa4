"""Shares out a batch among partitions, and refuses what neither log takes, before anything is written."""

from collections.abc import Sequence
from zlib import crc32

from consumers.log import MAX_RECORD_BYTES, Entry, LogError


def by_partition(topic: str, partitions: int, entries: Sequence[Entry]) -> tuple[dict[int, list[Entry]], int]:
    """Return the entries of each partition, in order, and the bytes of all keys and values."""
    groups: dict[int, list[Entry]] = {}
    size = 0
    for entry in entries:
        length = size_of(entry)
        if length > MAX_RECORD_BYTES:
            raise LogError(f"A record for topic {topic} has {length} bytes: at most {MAX_RECORD_BYTES} are allowed.")
        partition = crc32(entry.key) % partitions if entry.partition is None else entry.partition
        if not 0 <= partition < partitions:
            raise LogError(
                f"Topic {topic} has no partition {partition}, only {partitions} of them: correct the record."
            )
        if partition not in groups:
            groups[partition] = []
        groups[partition].append(entry)
        size += length
    return groups, size


def size_of(entry: Entry) -> int:
    """Return the bytes of key and value."""
    return len(entry.key) + (0 if entry.value is None else len(entry.value))
