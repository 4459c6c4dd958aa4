"""Who has a record in the attribution topic, read back from it: needed only where no checkpoint says it.

Without it, whoever went silent while a checkpoint was lost would keep an old record until retention takes it.
"""

from consumers.log import Log


async def published(log: Log, topic: str) -> list[str]:
    """Return the agents whose newest record in the topic is no tombstone, sorted. Reads the whole topic."""
    begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
    live: dict[bytes, bool] = {}
    if begins == ends:
        return []
    reader = await log.reader(topic, begins)
    try:
        while any(position < ends[partition] for partition, position in reader.positions.items()):
            for chunk in await reader.poll(max_records=50_000):
                # A key is always in one partition, so the last seen is the newest.
                live.update(
                    (key or b"", value is not None) for key, value in zip(chunk.keys, chunk.values, strict=True)
                )
    finally:
        await reader.close()
    return sorted(key.decode() for key, is_live in live.items() if is_live)
