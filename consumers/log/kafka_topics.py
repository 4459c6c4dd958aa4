"""Creates topics on a Kafka cluster, and holds those that exist against what they must be."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code

from consumers.log import LogError, Topic
from consumers.log.kafka_options import KafkaOptions, client_arguments

_SEGMENTS = 4
_SEGMENT_MS = (60_000, 86_400_000)
_COMPACTED_SEGMENT_MS = 900_000
_FOREVER = -1
_BROKERS_DEFAULT = -1
_METADATA_SECONDS = 0.05


async def ensure_topics(options: KafkaOptions, topics: Sequence[Topic]) -> None:
    """Create absent topics and wait until they can be written. Raises LogError where one is not as it must be."""
    admin = AIOKafkaAdminClient(**client_arguments(options), request_timeout_ms=round(options.connect_seconds * 1000))
    try:
        await admin.start()
        held = await _partitions(admin)
        for topic in topics:
            if topic.name in held:
                await _compare(admin, options.bootstrap, topic, held[topic.name])
        absent = [topic for topic in topics if topic.name not in held]
        if absent:
            await _create(admin, options, absent)
    finally:
        await admin.close()


async def _create(admin: Any, options: KafkaOptions, topics: Sequence[Topic]) -> None:
    asked = [NewTopic(topic.name, topic.partitions, 1, topic_configs=settings_of(topic)) for topic in topics]
    for new in asked:
        # The class refuses -1, by which the protocol leaves the number to the broker; its attribute takes it.
        new.replication_factor = options.replication_factor or _BROKERS_DEFAULT
    answer = await admin.create_topics(asked)
    for name, code, *reason in answer.topic_errors:
        error = for_code(code)
        if error not in (NoError, TopicAlreadyExistsError):
            said = f"{error.__name__}: {reason[0]}" if reason and reason[0] else error.__name__
            raise LogError(f"Kafka at {options.bootstrap} did not create topic {name} ({said}): create it yourself.")
    # Created is not yet known to every broker: wait for leaders, or the first append would be refused.
    while True:
        held = await _partitions(admin)
        if all(held.get(topic.name, 0) == topic.partitions for topic in topics):
            break
        await asyncio.sleep(_METADATA_SECONDS)


async def _partitions(admin: Any) -> dict[str, int]:
    """Return how many partitions with a leader each topic has. Asking for all of them creates none."""
    described = await admin.describe_topics()
    return {topic["topic"]: sum(partition["leader"] >= 0 for partition in topic["partitions"]) for topic in described}


def settings_of(topic: Topic) -> dict[str, str]:
    """Return the settings of a topic to create.

    Retention and compaction work on whole closed segments, so a segment is closed well before its records are due.
    """
    least, most = _SEGMENT_MS
    segment_ms = min(max(topic.retention_ms // _SEGMENTS, least), most)
    if "compact" in topic.cleanup:
        segment_ms = min(segment_ms, _COMPACTED_SEGMENT_MS)
    return {
        "cleanup.policy": topic.cleanup,
        "retention.ms": str(topic.retention_ms),
        "segment.ms": str(segment_ms),
    }


async def _compare(admin: Any, bootstrap: str, topic: Topic, partitions: int) -> None:
    where = f"Topic {topic.name} on Kafka at {bootstrap}"
    if partitions != topic.partitions:
        raise LogError(
            f"{where} has partitions {partitions}, not {topic.partitions}: set partitions to {partitions}, "
            "or give the topics another prefix."
        )
    names = ("cleanup.policy", "retention.ms")
    resource = ConfigResource(ConfigResourceType.TOPIC, topic.name, dict.fromkeys(names))
    answers = await admin.describe_configs([resource])
    code, said, _, _, entries = answers[0].resources[0]
    if code:
        raise LogError(f"{where} cannot be examined ({for_code(code).__name__}: {said}): allow DescribeConfigs on it.")
    settings = {name: value for name, value, *_ in entries}
    cleanup, retention = settings["cleanup.policy"], int(settings["retention.ms"])
    if {*cleanup.split(",")} != {*topic.cleanup.split(",")}:
        raise LogError(
            f"{where} has cleanup {cleanup}, not {topic.cleanup}: set its cleanup.policy to {topic.cleanup}."
        )
    if _FOREVER < retention < topic.retention_ms:
        raise LogError(
            f"{where} has retention {retention} ms, less than the {topic.retention_ms} ms needed: "
            f"set its retention.ms to {topic.retention_ms} or more."
        )
