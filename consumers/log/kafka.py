"""The log on Kafka, through aiokafka: many processes, replicas, and whatever else reads its topics.

An append returns once all in-sync replicas hold it; the producer is idempotent, so retries over a restarted broker
neither lose nor double a record. Reading takes partitions by hand and commits no offsets. No transactions.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from consumers.log import Entry, LogError, LogStats, Topic
from consumers.log.grouping import by_partition
from consumers.log.kafka_noise import Noise
from consumers.log.kafka_options import KafkaOptions
from consumers.log.kafka_producer import DeliveryError, Producer
from consumers.log.kafka_reader import KafkaReader, new_consumer
from consumers.log.kafka_topics import ensure_topics
from consumers.log.positions import position_fault


class KafkaLog:
    """A log on a Kafka cluster."""

    def __init__(self, options: KafkaOptions) -> None:
        self.options = options
        self._stats = LogStats()
        self._noise = Noise(self._stats)
        self._producer: Producer | None = None
        self._asker: Any = None
        self._partitions: dict[str, int] = {}
        self._readers: list[KafkaReader] = []

    @property
    def stats(self) -> LogStats:
        """The live counters of this log."""
        return self._stats

    async def __aenter__(self) -> Self:
        self._noise.install()
        try:
            async with self._told("open"):
                self._producer = await Producer(self.options).start()
                self._asker = await self._consumer()
        except BaseException:
            await self.__aexit__()
            raise
        self._noise.quiet = False
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Deliver what is on its way and disconnect, readers too."""
        self._noise.quiet = True
        try:
            for reader in self._readers:
                await reader.close()
            if self._asker is not None:
                await self._asker.stop()
            if self._producer is not None:
                await self._producer.stop()
        finally:
            self._noise.remove()
            self._producer = self._asker = None

    async def ensure(self, topics: Sequence[Topic]) -> None:
        """Create absent topics; raise LogError where one exists with other partitions, cleanup, or less retention."""
        async with self._told("create topics"), asyncio.timeout(self.options.connect_seconds):
            await ensure_topics(self.options, topics)
            self._partitions |= {topic.name: topic.partitions for topic in topics}
            # A leader that metadata names may not lead yet; offsets are given once it does.
            for topic in topics:
                await self.end_offsets(topic.name)

    async def append(self, topic: str, entries: Sequence[Entry]) -> None:
        """Append in order per partition; return once all in-sync replicas hold them."""
        if not entries:
            return
        groups, size = by_partition(topic, await self._partitions_of(topic), entries)
        began = time.perf_counter()
        async with self._told(f"take {len(entries)} records for topic {topic}"):
            await self._open_producer().send(topic, groups)
        self._stats.appends += 1
        self._stats.appended += len(entries)
        self._stats.bytes += size
        self._stats.append_seconds += time.perf_counter() - began

    async def begin_offsets(self, topic: str) -> dict[int, int]:
        """Return where each partition begins: offsets below were taken by retention."""
        partitions = [TopicPartition(topic, number) for number in range(await self._partitions_of(topic))]
        async with self._told("give offsets"):
            found = await self._asker.beginning_offsets(partitions)
        return {partition.partition: offset for partition, offset in found.items()}

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the next offset to be written, for every partition of the topic."""
        partitions = [TopicPartition(topic, number) for number in range(await self._partitions_of(topic))]
        async with self._told("give offsets"):
            found = await self._asker.end_offsets(partitions)
        return {partition.partition: offset for partition, offset in found.items()}

    async def reader(self, topic: str, positions: Mapping[int, int]) -> KafkaReader:
        """Read the given partitions from the given offsets."""
        if fault := position_fault(
            f"Kafka at {self.options.bootstrap}", topic, positions, await self.end_offsets(topic)
        ):
            raise LogError(fault)
        async with self._told("be read"):
            consumer = await self._consumer()
        reader = KafkaReader(
            consumer, topic, positions, begins=self.begin_offsets, ends=self.end_offsets, stats=self._stats
        )
        self._readers.append(reader)
        await reader.start()
        return reader

    async def _consumer(self) -> Any:
        """Return a consumer that is connected."""
        consumer = new_consumer(self.options)
        try:
            async with asyncio.timeout(self.options.connect_seconds):
                await consumer.start()
                await asyncio.sleep(0)  # or a stop right after this would cancel a task of its own that never began
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    async def _partitions_of(self, topic: str) -> int:
        """Return how many partitions a topic has, without the question's creating it."""
        if topic not in self._partitions:
            async with self._told("list topics"):
                self._partitions |= await self._open_producer().partitions()
        if topic not in self._partitions:
            raise LogError(
                f"Topic {topic} is not in Kafka at {self.options.bootstrap}: start the daemon that writes it first."
            )
        return self._partitions[topic]

    def _open_producer(self) -> Producer:
        if self._producer is None:
            raise LogError(f"The log on Kafka at {self.options.bootstrap} is closed: open it before use.")
        return self._producer

    @asynccontextmanager
    async def _told(self, doing: str) -> AsyncIterator[None]:
        """Turn what the client raises into a LogError of one sentence, and keep the last one."""
        where = f"Kafka at {self.options.bootstrap}"
        try:
            yield
        except LogError as error:
            self._stats.last_error = str(error)
            raise
        except (KafkaError, DeliveryError, OSError, TimeoutError) as error:
            if doing == "open":
                cause = self._noise.last or f"no answer within {self.options.connect_seconds:g} s"
                message = f"{where} cannot be reached ({cause}): start a broker there or correct its address."
            else:
                cause = str(error) or type(error).__name__
                message = f"{where} did not {doing} ({cause}): see that its brokers are up, then start again."
            self._stats.last_error = message
            raise LogError(message) from error
