"""Who has a record in the attribution topic: what a run leaves, or the topic itself where no checkpoint says it.

Without it, whoever went silent while a checkpoint was lost would keep an old record until retention takes it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consumers.log import Log


@dataclass(slots=True)
class Published:
    """The names under which agents have a record, and the partition under which each is kept in a checkpoint."""

    names: Sequence[str] = ()
    partitions: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


async def published(log: Log, topic: str, partitions: Collection[int]) -> Published:
    """Return whose newest record in these partitions of the topic is no tombstone. Reads all of them."""
    begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
    live: dict[bytes, int | None] = {}
    left = {partition: begins[partition] for partition in partitions if begins[partition] < ends[partition]}
    if not left:
        return Published()
    reader = await log.reader(topic, left)
    try:
        while any(position < ends[partition] for partition, position in reader.positions.items()):
            for chunk in await reader.poll(max_records=50_000):
                # A key is always in one partition, so the last seen is the newest.
                live.update(
                    (key or b"", None if value is None else chunk.partition)
                    for key, value in zip(chunk.keys, chunk.values, strict=True)
                )
    finally:
        await reader.close()
    found = sorted((key.decode(), partition) for key, partition in live.items() if partition is not None)
    return Published([name for name, _ in found], np.array([partition for _, partition in found], np.int64))
