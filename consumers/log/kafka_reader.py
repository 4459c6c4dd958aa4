"""Reads partitions of one Kafka topic from given offsets, without a group: nothing is committed, nobody rebalances."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from consumers.log import Chunk, LogError, LogStats
from consumers.log.kafka_options import KafkaOptions, client_arguments

FETCH_BYTES = 1 << 24
PARTITION_FETCH_BYTES = 1 << 21
_LONG_POLL_MS = 100

Bounds = Callable[[str], Awaitable[dict[int, int]]]


def new_consumer(options: KafkaOptions) -> Any:
    """Return a consumer that is not yet started.

    A fetch waits at the broker for at most `_LONG_POLL_MS`: while it waits for idle partitions, aiokafka does not
    ask for a busy one. `none` makes an offset that is gone an error; any other setting would jump over the loss.
    """
    return AIOKafkaConsumer(
        **client_arguments(options),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=_LONG_POLL_MS,
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        request_timeout_ms=round(options.delivery_seconds * 1000),
    )


class KafkaReader:
    """A consumer with an assignment of its own."""

    def __init__(
        self, consumer: Any, topic: str, positions: Mapping[int, int], *, begins: Bounds, ends: Bounds, stats: LogStats
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._positions = dict(positions)
        self._begins = begins
        self._ends = ends
        self._stats = stats
        self._begun: dict[int, int] = {}
        """Where partitions begin that lost what they were asked for, until a chunk has said so."""
        self._turn = 0

    async def start(self) -> None:
        """Take the partitions and go to their positions."""
        partitions = {number: TopicPartition(self._topic, number) for number in self._positions}
        self._consumer.assign(list(partitions.values()))
        for number, partition in partitions.items():
            self._consumer.seek(partition, self._positions[number])

    @property
    def positions(self) -> Mapping[int, int]:
        """The next offset of each partition."""
        return self._positions

    async def poll(self, *, max_records: int = 10_000, wait: float = 0.2, without: Collection[int] = ()) -> list[Chunk]:
        """Return what is there, at most `max_records`, waiting up to `wait` seconds for the first.

        With a `wait` of 0 it returns what was fetched already.
        """
        order = sorted(self._positions.keys() - without)
        order = order[self._turn :] + order[: self._turn]
        self._turn = (self._turn + 1) % max(1, len(order))
        chunks: list[Chunk] = []
        left = max_records
        # Asked for all at once, aiokafka empties what it fetched of one partition before it turns to the next.
        for index, number in enumerate(order):
            share = -(-left // (len(order) - index))
            if share:
                chunks += await self._take([number], 0.0, share)
                left = max_records - sum(len(chunk.offsets) for chunk in chunks)
        if not chunks and wait > 0:
            chunks = await self._take(order, wait, max_records)
        if not chunks:
            await self._pass_over_holes()
        return chunks

    async def _take(self, numbers: list[int], wait: float, max_records: int) -> list[Chunk]:
        """Return what was fetched of some partitions, or what of them retention took."""
        partitions = [TopicPartition(self._topic, number) for number in numbers]
        try:
            got = await self._consumer.getmany(*partitions, timeout_ms=round(wait * 1000), max_records=max_records)
        except OffsetOutOfRangeError as error:
            return await self._resume(error.args[0])
        except KafkaError as error:
            raise LogError(
                f"Topic {self._topic} cannot be read from Kafka ({error!r}): see its brokers' log."
            ) from error
        return [self._chunk(partition.partition, records) for partition, records in got.items()]

    async def close(self) -> None:
        """Stop reading."""
        await self._consumer.stop()

    def _chunk(self, number: int, records: list[Any]) -> Chunk:
        offsets = [record.offset for record in records]
        lost = 0
        if number in self._begun:
            lost = min(self._begun.pop(number), offsets[0]) - self._positions[number]
        chunk = Chunk(number, offsets, [record.key for record in records], [record.value for record in records], lost)
        self._stats.lost += lost
        self._positions[number] = offsets[-1] + 1
        return chunk

    async def _pass_over_holes(self) -> None:
        """Follow the consumer over offsets that compaction emptied at a partition's end."""
        for number in self._positions.keys() - self._begun.keys():
            position = await self._consumer.position(TopicPartition(self._topic, number))
            self._positions[number] = max(self._positions[number], position)

    async def _resume(self, gone: Mapping[TopicPartition, int]) -> list[Chunk]:
        """Go on at the beginning where retention took the position asked for.

        The next chunk says how much that was; where nothing is left to be in it, an empty one says it now.
        """
        begins, ends = await asyncio.gather(self._begins(self._topic), self._ends(self._topic))
        chunks = []
        for partition in gone:
            number = partition.partition
            position, begin = self._positions[number], begins[number]
            if position > ends[number]:
                raise LogError(
                    f"Position {position} of partition {number} of topic {self._topic} is beyond its end, "
                    f"{ends[number]}: the brokers lost records that they had acknowledged, so rebuild from the log."
                )
            self._consumer.seek(partition, begin)
            if begin <= position:
                continue  # it was a moment's disagreement between two brokers
            if begin < ends[number]:
                self._begun[number] = begin
                continue
            self._begun.pop(number, None)
            self._positions[number] = begin
            self._stats.lost += begin - position
            chunks.append(Chunk(number, [], [], [], begin - position))
        return chunks
