"""The kill campaign on a real PDS: people act, the bridge that listens is killed, and each act counts once."""

import asyncio
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from consumers.log import Topics
from consumers.log.kafka import KafkaLog
from consumers.log.kafka_options import KafkaOptions
from consumers.snapshot import Snapshot
from consumers.windows.shape import Shape
from consumers.worker.worker import Worker
from tests.campaigns import fuses, verdict
from tests.campaigns.kills import PARTITIONS, flags
from tests.campaigns.parts import Part
from tests.integration.play import Ledger, first_scene, sign_up
from tests.integration.test_pds_chain import counts_of, written
from tests.servers.kafka import Kafka
from tests.servers.pds import PdsMissingError, check, running
from tests.servers.pds_accounts import accounts

pytestmark = [pytest.mark.campaign, pytest.mark.kafka, pytest.mark.pds]

KILLS = 6


async def killed(bridge: Part, times: int) -> None:
    """Kill the bridge so often; then let it live."""
    bridge.start()
    async with asyncio.timeout(180):
        for left in range(times, 0, -1):
            while not bridge.tick():  # noqa: ASYNC110 - a process tells nobody when it ends
                await asyncio.sleep(0.05)
            bridge.start(doomed=left > 1)


async def carried(log: KafkaLog, topic: str, uri: str) -> None:
    """Wait until the log holds the record of a URI."""
    async with asyncio.timeout(60):
        while not any(  # noqa: ASYNC110 - another process writes it
            value and uri.encode() in value for _, value in await verdict.records(log, topic)
        ):
            await asyncio.sleep(0.2)


async def folded(log: KafkaLog, topic: str) -> Snapshot:
    """Return the window of all that the log holds."""
    told: list[Snapshot] = []

    async def closed(snapshot: Snapshot) -> None:
        told.append(snapshot)

    worker = Worker(log, topic, Shape(), range(PARTITIONS), closed)
    await worker.start()
    await worker.finish()
    await worker.close()
    return told[-1]


async def test_what_people_do_on_a_pds_counts_once_while_the_bridge_is_killed(kafka: Kafka, tmp_path: Path) -> None:
    try:
        check()
    except PdsMissingError as error:
        pytest.skip(str(error))
    topics, ledger = Topics(f"pds-{uuid4().hex[:8]}"), Ledger()
    with running() as pds:
        given = ("--role", "bridge", "--log", "kafka", "--bootstrap", kafka.bootstrap, "--source", "relay")
        given += ("--hosts", pds.host, *flags(f"log.prefix={topics.prefix}", "log.replication=1", "source.dense=false"))
        bridge = Part("bridge", tmp_path, given, fuses.BRIDGE, Random(3))
        bridge.start(doomed=False)
        assert bridge.daemon is not None
        daemon = bridge.daemon
        try:
            async with accounts(pds) as home, KafkaLog(KafkaOptions(kafka.bootstrap)) as log:
                await asyncio.to_thread(
                    daemon.wait_for, lambda: daemon.json("/status")["sources"][0]["connection"]["connected"]
                )
                await sign_up(home, "first")
                await asyncio.to_thread(daemon.wait_for, lambda: daemon.json("/status")["sources"][0]["saves"])
                bridge.end()
                killing = asyncio.create_task(killed(bridge, KILLS))
                scenes = 0
                while not killing.done():
                    last = await first_scene(await sign_up(home, f"scene{scenes}"), ledger)
                    scenes += 1
                await killing
                await carried(log, topics.events, last.uri)
                assert bridge.stop() == 0
                snapshot = await folded(log, topics.events)
        finally:
            bridge.end()
    assert scenes > 1
    assert counts_of(snapshot) == written(ledger)
