"""Two real bridges at one Jetstream, on each log: however late the older one notices, each event counts once."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from consumers.bridge.bridge import Bridge
from consumers.bridge.tenure import SupersededError
from consumers.log import Log, Topic, Topics
from consumers.log.kafka import KafkaLog
from consumers.log.kafka_options import KafkaOptions
from consumers.log.sqlite import SqliteLog
from consumers.scoring import load_scorer
from consumers.snapshot import Snapshot
from consumers.sources.jetstream import JetstreamV1Source
from consumers.sources.live import system_clock
from consumers.worker.worker import Worker
from tests.campaigns import verdict
from tests.campaigns.kills.campaign import flags
from tests.campaigns.producers import PARTITIONS
from tests.campaigns.upstream import Upstream, simulated
from tests.e2e.process import Daemon
from tests.servers.kafka import Kafka
from tests.unit.consumers import oracle

DAY_MS = 86_400_000
PATIENCE = 120.0


@pytest.fixture
def topics() -> Topics:
    return Topics(f"two-{uuid4().hex[:8]}")


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Log]:
    if request.param == "kafka":
        broker: Kafka = request.getfixturevalue("kafka")
        return lambda: KafkaLog(KafkaOptions(broker.bootstrap))
    return lambda: SqliteLog(tmp_path / "log.db")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(simulated(7, 200, 20.0), 7) as host:
        yield host


def wanted(topics: Topics) -> list[Topic]:
    return [Topic(topics.events, PARTITIONS, DAY_MS), Topic(topics.deadletters, 1, DAY_MS)]


def bridge(upstream: Upstream, log: Log, topics: Topics, place: Path) -> Bridge:
    source = JetstreamV1Source(upstream.address, score=load_scorer())
    return Bridge(source, log, topics, PARTITIONS, place, now=system_clock)


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not ready():  # noqa: ASYNC110 - a bridge tells nobody when it has delivered
            await asyncio.sleep(0.02)


async def folded(log: Log, topics: Topics) -> tuple[Worker, dict[int, Snapshot]]:
    told: dict[int, Snapshot] = {}

    async def closed(snapshot: Snapshot) -> None:
        told[snapshot.end] = snapshot

    worker = Worker(log, topics.events, Upstream.shape, range(PARTITIONS), closed)
    await worker.start()
    ends = await log.end_offsets(topics.events)
    while worker.windows.stats.records + sum(map(len_of_backlog, worker._backlog.held.values())) < sum(ends.values()):
        await worker.step()
    await worker.close()
    return worker, told


def len_of_backlog(backlog) -> int:
    return sum(len(chunk.values) - start for chunk, start in backlog)


async def assert_recounted(upstream: Upstream, told: dict[int, Snapshot], folder: Path) -> None:
    events = await verdict.events_of(upstream.finish(folder).recording)
    end = verdict.last_end(events, Upstream.shape, PARTITIONS)
    assert max(told) == end
    for closed in sorted(told)[-12:]:
        expected = verdict.recount(events, closed, Upstream.shape, PARTITIONS)
        oracle.same(oracle.rows(told[closed].agents, told[closed].current), expected)
    assert len(told[end].agents) > 50


async def test_a_second_bridge_takes_over_and_what_the_first_still_writes_does_not_count(
    opening: Callable[[], Log], topics: Topics, tmp_path: Path, upstream: Upstream
) -> None:
    """The first never looks whether another has come: the worst of zombies, writing to the end."""
    async with opening() as log:
        await log.ensure(wanted(topics))
        first = bridge(upstream, log, topics, tmp_path / "first")

        async def blind() -> None: ...

        first._tenure.check = blind
        second = bridge(upstream, log, topics, tmp_path / "second")
        stop = asyncio.Event()
        carrying = [asyncio.create_task(first.run(stop))]
        upstream.released = len(upstream.lines) // 3
        await until(lambda: first.stats.accepted > upstream.released // 2)
        carrying.append(asyncio.create_task(second.run(stop)))
        upstream.released = len(upstream.lines)
        await until(lambda: first.stats.cursor == second.stats.cursor == upstream.last_cursor)
        stop.set()
        await asyncio.gather(*carrying)
        worker, told = await folded(log, topics)
        assert worker.windows.stats.superseded > 100
        await assert_recounted(upstream, told, tmp_path)


async def test_the_first_of_two_bridges_ends_when_the_second_has_begun(
    opening: Callable[[], Log], topics: Topics, tmp_path: Path, upstream: Upstream
) -> None:
    async with opening() as log:
        await log.ensure(wanted(topics))
        stop = asyncio.Event()
        first = bridge(upstream, log, topics, tmp_path / "first")
        carrying = asyncio.create_task(first.run(stop))
        upstream.released = len(upstream.lines) // 3
        await until(lambda: first.stats.accepted > upstream.released // 2)
        second = bridge(upstream, log, topics, tmp_path / "second")
        taking = asyncio.create_task(second.run(stop))
        await until(lambda: second.stats.cursor is not None)
        upstream.released = len(upstream.lines)
        with pytest.raises(SupersededError):
            await asyncio.wait_for(carrying, PATIENCE)
        await until(lambda: second.stats.cursor == upstream.last_cursor)
        stop.set()
        await taking
        _, told = await folded(log, topics)
        await assert_recounted(upstream, told, tmp_path)


@pytest.mark.kafka
async def test_a_process_that_slept_while_another_took_over_wakes_up_and_ends(
    kafka: Kafka, topics: Topics, tmp_path: Path, upstream: Upstream
) -> None:
    given = ("--role", "bridge", "--log", "kafka", "--bootstrap", kafka.bootstrap, "--source", "jetstream1")
    given += ("--hosts", upstream.address, *flags(upstream.shape, f"log.prefix={topics.prefix}", "log.replication=1"))
    with Daemon(tmp_path / "first", *given) as first, Daemon(tmp_path / "second", *given) as second:
        second.process.send_signal(signal.SIGSTOP)
        upstream.released = len(upstream.lines) // 3
        await asyncio.to_thread(first.wait_for, lambda: first.events("bridge starts"))
        await asyncio.to_thread(first.wait_for, lambda: first.json("/status")["sources"][0]["cursor"])
        first.process.send_signal(signal.SIGSTOP)
        second.process.send_signal(signal.SIGCONT)
        await asyncio.to_thread(second.wait_for, lambda: second.events("bridge starts"))
        upstream.released = len(upstream.lines)
        first.process.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(first.finish) == 1
        assert "Another bridge has begun" in first.told
        await asyncio.to_thread(
            second.wait_for, lambda: second.json("/status")["sources"][0]["cursor"] == upstream.last_cursor
        )
        assert await asyncio.to_thread(second.stop) == 0
    async with KafkaLog(KafkaOptions(kafka.bootstrap)) as log:
        _, told = await folded(log, topics)
        await assert_recounted(upstream, told, tmp_path)
