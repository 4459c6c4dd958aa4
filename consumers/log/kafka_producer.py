"""Appends to Kafka: idempotent, acknowledged by all in-sync replicas, in order per partition, bounded in flight.

aiokafka's idempotent producer retries for ever and numbers its batches, so a batch that fails leaves a hole in the
numbers that its partition's later ones would fall into. Hence two rules: an append is bounded in time here, and
after one has failed the producer is not used again.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from consumers.log import Entry
from consumers.log.kafka_options import KafkaOptions, client_arguments

_STOP_SECONDS = 5.0


class DeliveryError(Exception):
    """Records that are not known to be in the log; the message is the cause."""


class Producer:
    """One aiokafka producer, until it fails."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._failure: str | None = None
        self._producer = AIOKafkaProducer(
            **client_arguments(options),
            acks="all",
            enable_idempotence=True,
            compression_type=None if options.compression == "none" else options.compression,
            max_batch_size=options.batch_bytes,
            # A batch that waits longer than this for a leader would be dropped after it was numbered.
            request_timeout_ms=round(options.delivery_seconds * 1000),
        )

    async def start(self) -> Self:
        """Connect. Raises KafkaError, OSError or TimeoutError; aiokafka alone would ask for an id for ever."""
        try:
            async with asyncio.timeout(self._options.connect_seconds):
                await self._producer.start()
        except BaseException:
            await self._abandon()
            raise
        return self

    async def stop(self) -> None:
        """Deliver what is on its way and disconnect; give up what cannot be delivered in a few seconds."""
        if self._failure is None:
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._producer.flush()
                    await self._producer.stop()
                    return
        await self._abandon()

    async def partitions(self) -> dict[str, int]:
        """Return how many partitions each topic has; asking for all of them creates none."""
        cluster = await self._producer.client.fetch_all_metadata()
        return {name: len(cluster.partitions_for_topic(name)) for name in cluster.topics()}

    async def send(self, topic: str, groups: Mapping[int, Sequence[Entry]]) -> None:
        """Return once the brokers hold every record. Raises DeliveryError."""
        if self._failure is not None:
            raise DeliveryError(f"an earlier append failed: {self._failure}")
        sent: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(self._options.delivery_seconds):
                await self._send(topic, groups, sent)
                await asyncio.gather(*sent)
        except TimeoutError:
            self._failure = f"no acknowledgement within {self._options.delivery_seconds:g} s"
        except KafkaError as error:
            self._failure = str(error) or type(error).__name__
        if self._failure is not None:
            raise DeliveryError(self._failure)

    async def _send(self, topic: str, groups: Mapping[int, Sequence[Entry]], sent: list[asyncio.Future[Any]]) -> None:
        """Hand over batches, one of each partition in turn: a request to a broker takes one of each.

        aiokafka queues one batch per partition behind the one on its way, which bounds what is in flight.
        """
        left = deque((partition, entries, 0) for partition, entries in groups.items())
        while left:
            partition, entries, start = left.popleft()
            batch = self._producer.create_batch()
            end = start
            while end < len(entries):
                entry = entries[end]
                if batch.append(key=entry.key, value=entry.value, timestamp=None) is None:
                    break
                end += 1
            batch.close()
            future = await self._queue(batch, topic, partition)
            future.add_done_callback(_retrieve)
            sent.append(future)
            if end < len(entries):
                left.append((partition, entries, end))

    async def _queue(self, batch: Any, topic: str, partition: int) -> asyncio.Future[Any]:
        while True:
            with contextlib.suppress(KafkaTimeoutError):  # the queue was full: not queued, so asked again
                queued: asyncio.Future[Any] = await self._producer.send_batch(batch, topic, partition=partition)
                return queued

    async def _abandon(self) -> None:
        """Disconnect without delivering. aiokafka has no call for it: its `stop` waits until all is delivered."""
        sender = self._producer._sender.sender_task  # noqa: SLF001
        self._producer._message_accumulator.fail_all(KafkaError("abandoned"))  # noqa: SLF001
        if sender is not None:
            sender.cancel()
        for closing in (self._producer.stop, self._producer.client.close):
            # A task of its own, so that what its parts raise while they are torn down, cancellation too, ends in it.
            done, waiting = await asyncio.wait({asyncio.create_task(closing())}, timeout=_STOP_SECONDS)
            for task in done:
                _retrieve(task)
            for task in waiting:
                task.cancel()


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Take note of a failure that another one was faster to report, so that asyncio does not log it."""
    if not future.cancelled():
        future.exception()
