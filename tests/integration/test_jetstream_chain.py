"""PDS → the real Jetstream → bridge → Kafka, and PDS → bridge → Kafka: the agent events of both are the same."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from consumers.bridge.bridge import Bridge
from consumers.log import Log, Topic, Topics
from consumers.log.kafka import KafkaLog
from consumers.log.kafka_options import KafkaOptions
from consumers.scoring import load_scorer
from consumers.sources.jetstream import JetstreamV2Source
from consumers.sources.live import LiveSource
from consumers.sources.relay import RelaySource
from consumers.sources.websocket import SocketOptions
from tests.campaigns.verdict import records
from tests.integration.play import Ledger, first_scene, second_scene, sign_up, third_scene
from tests.servers.jetstream import JetstreamMissingError, program, reading
from tests.servers.kafka import Kafka
from tests.servers.pds_accounts import Account, accounts

pytestmark = [pytest.mark.pds, pytest.mark.kafka]

PARTITIONS = 2
PATIENCE = 120.0
WHAT = ("agent", "role", "kind", "peer", "rev", "uri", "valence", "status")
"""What an event says beside where it was read: source, seq, index in its frame, and the time there."""


class Way:
    """One way from a PDS into a topic of its own."""

    def __init__(self, log: Log, source: LiveSource, folder: Path) -> None:
        self.topics = Topics(f"chain-{uuid4().hex[:8]}")
        self._log, self.source = log, source
        self._stop = asyncio.Event()
        self._bridge = Bridge(source, log, self.topics, PARTITIONS, folder, now=lambda: time.time_ns() // 1000)

    async def begin(self) -> None:
        topics = [Topic(self.topics.events, PARTITIONS, 10**8), Topic(self.topics.deadletters, 1, 10**8)]
        await self._log.ensure(topics)
        self._carrying = asyncio.create_task(self._bridge.run(self._stop))

    async def end(self) -> None:
        self._stop.set()
        await self._carrying
        assert not self._bridge.stats.rejected
        assert not self._bridge.stats.gaps

    async def events(self, of: set[str]) -> Counter[tuple[Hashable, ...]]:
        """Return how often the topic holds each event of these agents."""
        told = [orjson.loads(value or b"") for _, value in await records(self._log, self.topics.events)]
        return Counter(tuple(one.get(name) for name in WHAT) for one in told if one.get("agent") in of)

    async def hears(self, author: Account) -> None:
        """Have somebody post until it comes through: what is done from then on comes too."""
        async with asyncio.timeout(PATIENCE):
            while not await self.events({author.did}):
                await author.post("Is anybody there?")
                await asyncio.sleep(0.3)

    async def reaches(self, uri: str, author: Account) -> None:
        async with asyncio.timeout(PATIENCE):
            while not any(uri in event for event in await self.events({author.did})):  # noqa: ASYNC110 - a log
                await asyncio.sleep(0.3)


@asynccontextmanager
async def ways(log: Log, sources: dict[str, LiveSource], folder: Path) -> AsyncIterator[list[Way]]:
    both = [Way(log, source, folder / name) for name, source in sources.items()]
    for way in both:
        await way.begin()
    try:
        yield both
    finally:
        for way in both:
            await way.end()


async def test_a_jetstream_between_changes_no_agent_event(pds_with, kafka: Kafka, tmp_path: Path) -> None:
    try:
        program()
    except JetstreamMissingError as error:
        pytest.skip(str(error))
    options = SocketOptions(backoff_first=0.1, backoff_most=0.5)
    with pds_with() as pds:
        async with accounts(pds) as home, KafkaLog(KafkaOptions(kafka.bootstrap)) as log:
            probe, nobody = await home.sign_up("probe"), await home.sign_up("nobody")
            with reading(pds, backfilled=nobody.did) as jetstream:
                sources: dict[str, LiveSource] = {
                    "direct": RelaySource(pds.host, dense=False, score=load_scorer(), options=options),
                    "jetstream": JetstreamV2Source(jetstream, score=load_scorer(), options=options),
                }
                async with ways(log, sources, tmp_path) as both:
                    for way in both:
                        await way.hears(probe)
                    cast, ledger = await sign_up(home, "cast"), Ledger()
                    for scene in (first_scene, second_scene, third_scene):
                        last = await scene(cast, ledger)
                    for way in both:
                        await way.reaches(last.uri, cast.dave)
                    everyone = {account.did for account in cast.all}
                    direct, through = [await way.events(everyone) for way in both]
    assert len(direct) > 40
    assert through == direct
