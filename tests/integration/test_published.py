"""What a subscriber reads from a real Kafka after runs of the real engine."""

from uuid import uuid4

import pytest

from consumers.log import Topic, Topics
from consumers.log.kafka import KafkaLog
from consumers.log.kafka_options import KafkaOptions
from consumers.snapshot import Coverage, Snapshot
from daemon.runs.cycle import Cycle, Plan
from daemon.runs.following import Follower
from daemon.runs.pseudonyms import Pseudonyms
from daemon.runs.recall import published
from tests.populations import names, population
from tests.servers.kafka import Kafka

pytestmark = pytest.mark.kafka

MINUTE = 60_000_000
START = 1_783_172_280_000_000


def window(number: int, agents: int) -> Snapshot:
    end = START + (60 + number) * MINUTE
    return Snapshot(
        lens="all",
        start=end - 60 * MINUTE,
        end=end,
        agents=names(agents),
        current=population(agents, number),
        preceding=population(agents, number + 100),
        coverage=Coverage(1.0),
        preceding_coverage=Coverage(1.0),
        watermark=end,
    )


async def test_a_subscriber_gets_each_run_after_its_attributions_and_tombstones_for_who_left(kafka: Kafka) -> None:
    topics = Topics(f"published-{uuid4().hex[:8]}")
    day = 86_400_000
    async with KafkaLog(KafkaOptions(kafka.bootstrap)) as log:
        await log.ensure([Topic(topics.attributions, 3, day, "compact,delete"), Topic(topics.runs, 1, day)])
        cycle = Cycle(log, topics, Plan(("attention", "cascade"), device="cpu", panels=(100,)))
        try:
            runs = [await cycle(window(0, 500)), await cycle(window(1, 400))]
        finally:
            cycle.close()
        assert [run.tombstones for run in runs] == [0, 100]
        assert (await published(log, topics.attributions, range(3))).names == names(400)
        follower = Follower(log, topics, names(500)[450])
        seen = [found async for found in _first(follower, 2)]
        assert [found.run for found in seen] == runs
        assert seen[0].agent is not None
        assert seen[0].agent.run == runs[0].id
        assert set(seen[0].agent.level) == {"attention", "cascade"}
        assert set(seen[0].agent.change or {}) == {"attention", "cascade"}
        assert seen[1].agent is None


async def _first(follower: Follower, count: int):
    following = follower.committed(history=10)
    try:
        async for found in following:
            if found is not None:
                yield found
                count -= 1
            if count == 0:
                return
    finally:
        await following.aclose()


async def test_under_pseudonyms_no_byte_of_either_topic_on_a_broker_names_an_account(kafka: Kafka) -> None:
    topics, pseudonyms = Topics(f"published-{uuid4().hex[:8]}"), Pseudonyms("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
    day = 86_400_000
    async with KafkaLog(KafkaOptions(kafka.bootstrap)) as log:
        await log.ensure([Topic(topics.attributions, 3, day, "compact,delete"), Topic(topics.runs, 1, day)])
        plan = Plan(("attention", "cascade"), device="cpu", panels=(100,))
        cycle = Cycle(log, topics, plan, pseudonyms=pseudonyms)
        try:
            for number, size in enumerate((500, 400)):
                await cycle(window(number, size))
        finally:
            cycle.close()
        assert (await published(log, topics.attributions, range(3))).names == sorted(pseudonyms.of(names(400)))
        records = []
        for topic in (topics.attributions, topics.runs):
            ends = await log.end_offsets(topic)
            reader = await log.reader(topic, await log.begin_offsets(topic))
            while any(reader.positions[partition] < end for partition, end in ends.items()):
                for chunk in await reader.poll():
                    records += [(k or b"") + (v or b"") for k, v in zip(chunk.keys, chunk.values, strict=True)]
            await reader.close()
        assert len(records) == 500 + 400 + 100 + 2
        assert [record for record in records if b"did:" in record] == []
