"""The whole way on real parts: PDS → relay source → bridge → Kafka → windows → engine → attribution topic → a consumer.

People act on the PDS; what a stranger reads from Kafka is held to what they did, integer for integer.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from uuid import uuid4

import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from consumers.bridge.bridge import Bridge
from consumers.events import Event
from consumers.log import Log, Topic, Topics
from consumers.log.kafka_options import KafkaOptions
from consumers.log.opening import open_log
from consumers.scoring import load_scorer
from consumers.snapshot import Snapshot
from consumers.sources import Delivery
from consumers.sources.relay import RelaySource
from consumers.windows.shape import Shape
from consumers.worker.worker import Worker
from daemon.runs.cycle import Cycle, Plan
from daemon.runs.records import AttributionRecord, RunRecord
from engine.columns import ACTS, COLUMNS, COUNTS, PHASES
from tests.integration.play import Ledger, first_scene, second_scene, sign_up, third_scene
from tests.servers.kafka import Kafka
from tests.servers.pds import Pds
from tests.servers.pds_accounts import accounts

pytestmark = [pytest.mark.pds, pytest.mark.kafka]

PARTITIONS = 4
PATIENCE = 60.0
DAY_MS = 86_400_000
INDICATORS = ("polarization", "attention", "cascade", "activity", "synchrony")
SCORES = ("scored", "valence", "alarm")
STATES = ("account", "identity", "bridge")
RECEIVED_KINDS = ("replies", "quotes", "reposts", "likes", "follows")


class Tapped:
    """The source from its host's beginning, with a note of what it delivered."""

    def __init__(self, source: RelaySource) -> None:
        self._source = source
        self.events: list[Event] = []

    @property
    def name(self) -> str:
        return self._source.name

    async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        async with aclosing(self._source.deliveries(cursor or 0)) as deliveries:
            async for delivery in deliveries:
                self.events += delivery.events
                yield delivery


@dataclass
class Chain:
    """Bridge and worker on one Kafka; the worker's clock can be moved ahead so that windows close."""

    log: Log
    topics: Topics
    source: Tapped
    bridge: Bridge
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ahead: int = 0
    snapshot: Snapshot | None = None
    record: RunRecord | None = None
    erased: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.cycle = Cycle(self.log, self.topics, Plan(INDICATORS, panels=(3,)))
        shape = Shape()
        self.worker = Worker(self.log, self.topics.events, shape, range(PARTITIONS), self._closed, now=self._now)

    def _now(self) -> int:
        return time.time_ns() // 1000 + self.ahead

    async def _closed(self, snapshot: Snapshot) -> None:
        self.snapshot, self.record = snapshot, await self.cycle(snapshot)
        self.erased.update(snapshot.erased)

    async def fold(self, uri: str) -> None:
        """Fold until the record of this URI, and all before it, is in the windows."""
        async with asyncio.timeout(PATIENCE):
            while not any(event.uri == uri for event in self.source.events):
                await self.worker.step()
            wanted = len(self.source.events)
            while self.bridge.stats.events.total() + self.bridge.stats.duplicates < wanted:
                await self.worker.step()
            ends = await self.log.end_offsets(self.topics.events)
            while self.worker.windows.stats.records < sum(ends.values()):
                await self.worker.step()

    async def close(self) -> Snapshot:
        """Let two minutes pass in silence, so that each event is in a closed window; return a snapshot."""
        self.snapshot = None
        self.ahead += 120_000_000
        async with asyncio.timeout(PATIENCE):
            while self.snapshot is None:
                await self.worker.step()
        return self.snapshot


@asynccontextmanager
async def chained(kafka: Kafka, pds: Pds, directory: Path, topics: Topics | None = None) -> AsyncIterator[Chain]:
    topics = topics or Topics(f"chain-{uuid4().hex[:8]}")
    wanted = [
        Topic(topics.events, PARTITIONS, DAY_MS),
        Topic(topics.attributions, PARTITIONS, DAY_MS, "compact,delete"),
        Topic(topics.runs, 1, DAY_MS),
        Topic(topics.deadletters, 1, DAY_MS),
    ]
    async with open_log(kafka=KafkaOptions(kafka.bootstrap)) as log:
        await log.ensure(wanted)
        source = Tapped(RelaySource(pds.host, dense=False, check_cids=True, score=load_scorer(), random=Random(1)))
        bridge = Bridge(source, log, topics, PARTITIONS, directory, now=lambda: time.time_ns() // 1000)
        chain = Chain(log, topics, source, bridge)
        await chain.worker.start()
        carrying = asyncio.create_task(bridge.run(chain.stop))
        try:
            yield chain
        finally:
            chain.stop.set()
            await carrying
            await chain.worker.close()
            chain.cycle.close()


async def consumed(kafka: Kafka, topic: str, log: Log) -> list[tuple[str, bytes | None]]:
    """Return what any consumer reads from a topic: keys and values, oldest first in each partition."""
    count = sum((await log.end_offsets(topic)).values())
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE):
            return [((record := await consumer.getone()).key.decode(), record.value) for _ in range(count)]
    finally:
        await consumer.stop()


def counts_of(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    """Return each active agent's counts, those that are not zero."""
    table = {}
    for place, agent in enumerate(snapshot.agents):
        column = dict(zip(COLUMNS, snapshot.current[:, place].tolist(), strict=True))
        assert sum(column[name] for name in PHASES) == sum(column[name] for name in ACTS)
        kept = {name: column[name] for name in (*COUNTS, *SCORES) if column[name]}
        if kept:
            table[agent] = kept
    return table


def written(ledger: Ledger) -> dict[str, dict[str, int]]:
    tidy = {agent: {name: count for name, count in counts.items() if count} for agent, counts in ledger.counts.items()}
    return {agent: counts for agent, counts in tidy.items() if counts}


async def check_published(kafka: Kafka, chain: Chain, agents: set[str]) -> dict[str, bytes | None]:
    """Hold the attribution topic to its last run; return the newest value of each key."""
    record = chain.record
    assert record is not None
    runs = await consumed(kafka, chain.topics.runs, chain.log)
    assert runs[-1] == (record.id, record.encode())
    newest = dict(await consumed(kafka, chain.topics.attributions, chain.log))
    current = {agent: AttributionRecord.model_validate_json(value) for agent, value in newest.items() if value}
    assert set(current) == agents
    assert {attribution.run for attribution in current.values()} == {record.id}
    assert record.attributions == len(agents)
    for indicator in INDICATORS:
        measure = record.indicators[indicator]["neutral"]
        assert measure.ok
        assert sum(told.level[indicator] for told in current.values()) == pytest.approx(measure.sum_phi, abs=1e-12)
        assert measure.sum_phi == pytest.approx(measure.value - measure.baseline_value, abs=1e-9)
    return newest


async def test_what_people_do_on_a_pds_is_what_a_consumer_of_the_attributions_reads(pds_with, kafka, tmp_path):
    with pds_with() as pds:
        async with accounts(pds) as home, chained(kafka, pds, tmp_path) as chain:
            cast, ledger = await sign_up(home, "chain"), Ledger()
            await chain.fold((await first_scene(cast, ledger)).uri)
            everyone = {account.did for account in cast.all}
            assert counts_of(await chain.close()) == written(ledger)
            newest = await check_published(kafka, chain, everyone)
            told = {agent: AttributionRecord.model_validate_json(value) for agent, value in newest.items() if value}
            alice = told[cast.alice.did]
            assert alice.tier == "head"
            assert alice.visibility == sum(ledger.counts[alice.agent][f"{kind}_in"] for kind in RECEIVED_KINDS)
            assert alice.level["cascade"] == max(one.level["cascade"] for one in told.values())

            gone = {account.did for account in (cast.bob, cast.dave, cast.erin)}
            await chain.fold((await second_scene(cast, ledger)).uri)
            snapshot = await chain.close()
            assert chain.erased == gone
            assert counts_of(snapshot) == written(ledger)
            newest = await check_published(kafka, chain, everyone - gone)
            assert {agent for agent, value in newest.items() if value is None} == gone

            await chain.fold((await third_scene(cast, ledger)).uri)
            assert counts_of(await chain.close()) == written(ledger)
            back = await check_published(kafka, chain, everyone - gone | {cast.dave.did})
            assert back[cast.erin.did] is None
            assert not chain.bridge.stats.rejected
            assert not chain.bridge.stats.duplicates


async def test_a_bridge_that_starts_anew_neither_loses_nor_repeats(pds_with, kafka, tmp_path):
    done = Ledger()
    with pds_with() as pds:
        async with accounts(pds) as home:
            async with chained(kafka, pds, tmp_path) as chain:
                await chain.fold((await first_scene(await sign_up(home, "before"), done)).uri)
            await first_scene(await sign_up(home, "meanwhile"), done)
            async with chained(kafka, pds, tmp_path, chain.topics) as chain:
                await chain.fold((await first_scene(await sign_up(home, "after"), done)).uri)
                topic = await consumed(kafka, chain.topics.events, chain.log)
                assert counts_of(await chain.close()) == written(done)
    told = [orjson.loads(value) for _, value in topic if value]
    acts = [(one["agent"], one["role"], one["kind"], one["peer"]) for one in told if one["kind"] not in STATES]
    assert Counter(acts) == done.events
