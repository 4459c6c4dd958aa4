"""Bridge and worker cut off again and again in mid-stream count each event once: the last windows equal a recount."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.bridge import Bridge
from consumers.checkpoints import Checkpoints
from consumers.events import Event
from consumers.log import Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.snapshot import Snapshot
from consumers.sources import Delivery
from consumers.sources.simulator import SimulatedSource
from consumers.windows.shape import SECOND, Shape
from consumers.worker import Saving, Worker
from tests.unit.consumers import oracle

TOPICS = Topics()
PARTITIONS = 3
SHAPE = Shape(length=120 * SECOND, bucket=10 * SECOND, lateness=2 * SECOND)


class Stuttering:
    """A source whose connections begin some deliveries before the cursor, as a reconnecting Jetstream's do."""

    def __init__(self, source: SimulatedSource, random_: random.Random) -> None:
        self._source, self._random = source, random_
        self.name = source.name

    async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        back = None if cursor is None else max(self._source.start, cursor - self._random.randrange(5 * SECOND))
        async for delivery in self._source.deliveries(back):
            yield delivery
            await asyncio.sleep(self._random.choice((0, 0, 0.002)))


def source() -> SimulatedSource:
    return SimulatedSource(accounts=300, seed=4, rate=25, duration=420)


async def everything() -> list[Event]:
    return [event async for delivery in source().deliveries(None) for event in delivery.events]


async def life(log: SqliteLog, place: Path, told: dict[int, Snapshot], chance: random.Random, *, last: bool) -> None:
    """One life of a daemon: cut off at a moment of chance, or, the last, to the end of the source."""
    clock = iter(range(0, 1 << 60, 200_000)).__next__

    async def closed(snapshot: Snapshot) -> None:
        await asyncio.sleep(0)
        before = told.setdefault(snapshot.end, snapshot)
        assert before.agents == snapshot.agents
        assert (before.current == snapshot.current).all()

    bridge = Bridge(Stuttering(source(), chance), log, TOPICS, PARTITIONS, place, now=clock)
    saving = Saving(Checkpoints(place / "checkpoints", SHAPE.fingerprint()), every=SECOND)
    worker = Worker(log, TOPICS.events, SHAPE, range(PARTITIONS), closed, saving=saving, max_records=500)
    await worker.start()

    async def work() -> None:
        while True:
            await worker.step(wait=0.01)
            if chance.random() < 0.1:
                await worker.checkpoint()

    bridging = asyncio.create_task(bridge.run(asyncio.Event()))
    working = asyncio.create_task(work())
    if last:
        await bridging
    else:
        await asyncio.wait({bridging, working}, timeout=chance.uniform(0.0, 0.25), return_when=asyncio.FIRST_EXCEPTION)
    for task in (bridging, working):
        task.cancel()
    results = await asyncio.gather(bridging, working, return_exceptions=True)
    assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results), results
    if last:
        await worker.finish()
    await worker.close()


@pytest.mark.parametrize("seed", [1, 2])
async def test_windows_equal_a_recount_after_twenty_lives_cut_off(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    told: dict[int, Snapshot] = {}
    for number in range(21):
        async with SqliteLog(tmp_path / "log.db", synchronous="normal") as log:
            await log.ensure([Topic(TOPICS.events, PARTITIONS, 10**12), Topic(TOPICS.deadletters, 1, 10**12)])
            await life(log, tmp_path, told, chance, last=number == 20)
    events = await everything()
    snapshot = told[max(told)]
    assert snapshot.end == SHAPE.head_after(max(event.t for event in events)) * SHAPE.bucket
    expected = oracle.table(oracle.alive(events), snapshot.start, snapshot.end, SHAPE.bucket, SHAPE.phase_buckets)
    oracle.same(oracle.rows(snapshot.agents, snapshot.current), expected)
    assert len(expected) > 100
