"""Bridge and worker cut off again and again in mid-stream count each event once: the last windows equal a recount."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.bridge.bridge import Bridge
from consumers.log import Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.snapshot import Snapshot
from consumers.sources import Delivery
from consumers.sources.decoding.jetstream1 import decode_line
from consumers.sources.decoding.reading import Reading
from consumers.sources.simulator import SimulatedSource
from consumers.windows.shape import SECOND, Shape
from consumers.worker.checkpoints import Checkpoints
from consumers.worker.saving import Saving
from consumers.worker.worker import Worker
from tests.unit.consumers import oracle

TOPICS = Topics()
PARTITIONS = 3
SHAPE = Shape(length=480 * SECOND, bucket=10 * SECOND, lateness=2 * SECOND)
"""The last window holds the whole recording, so that nothing counted twice or not at all goes unseen."""


def recorded() -> list[Delivery]:
    """A simulated network as Jetstream v1 deliveries of twenty lines; the cursor is the greatest `time_us` so far."""
    simulated = SimulatedSource(accounts=300, seed=4, rate=25, duration=420, score=lambda _text, _langs: 0.25)
    reading = Reading("jetstream1:test", 1 << 60, simulated.score)
    lines = [line for chunk in simulated.chunks() for line in chunk.lines]
    deliveries: list[Delivery] = []
    newest = 0
    for start in range(0, len(lines), 20):
        delivery = Delivery()
        for line in lines[start : start + 20]:
            newest = max(newest, decode_line(line, reading, delivery, start) or 0)
        delivery.cursor = newest
        deliveries.append(delivery)
    return deliveries


class Cut:
    """A source whose connections begin some seconds before the cursor, and which says when it has given enough."""

    name = "jetstream1:test"

    def __init__(self, script: list[Delivery], chance: random.Random, *, last: bool) -> None:
        self.enough = asyncio.Event()
        self._script, self._chance = script, chance
        self._left = len(script) if last else chance.randrange(60)

    async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        since = 0 if cursor is None else cursor - self._chance.randrange(5 * SECOND)
        for delivery in self._script:
            assert delivery.cursor is not None
            if delivery.cursor <= since:
                continue
            if self._left == 0:
                self.enough.set()
                await asyncio.Event().wait()
            self._left -= 1
            yield delivery
            await asyncio.sleep(self._chance.choice((0, 0.001)))


async def life(log: SqliteLog, place: Path, told: dict[int, Snapshot], source: Cut, chance: random.Random) -> bool:
    """One life of a daemon: cut off at a moment of chance, or to the end of the source; then it returns True."""
    clock = iter(range(0, 1 << 60, 200_000)).__next__

    async def closed(snapshot: Snapshot) -> None:
        await asyncio.sleep(0)
        before = told.setdefault(snapshot.end, snapshot)
        assert before.agents == snapshot.agents
        assert (before.current == snapshot.current).all()

    bridge = Bridge(source, log, TOPICS, PARTITIONS, place, now=clock)
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
    enough = asyncio.create_task(source.enough.wait())
    await asyncio.wait({bridging, working, enough}, return_when=asyncio.FIRST_COMPLETED)
    ended = bridging.done()
    for _ in range(chance.randrange(20)):
        await asyncio.sleep(0)
    enough.cancel()
    for task in (bridging, working):
        task.cancel()
    results = await asyncio.gather(bridging, working, return_exceptions=True)
    assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results), results
    if ended:
        await worker.finish()
    await worker.close()
    return ended


@pytest.mark.parametrize("seed", [1, 2])
async def test_windows_equal_a_recount_after_twenty_lives_cut_off(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    script = recorded()
    told: dict[int, Snapshot] = {}
    for number in range(21):
        async with SqliteLog(tmp_path / "log.db", synchronous="normal") as log:
            await log.ensure([Topic(TOPICS.events, PARTITIONS, 10**12), Topic(TOPICS.deadletters, 1, 10**12)])
            ended = await life(log, tmp_path, told, Cut(script, chance, last=number == 20), chance)
        assert ended == (number == 20)
    events = [event for delivery in script for event in delivery.events]
    snapshot = told[max(told)]
    assert snapshot.end == SHAPE.head_after(max(event.t for event in events)) * SHAPE.bucket
    expected = oracle.table(oracle.alive(events), snapshot.start, snapshot.end, SHAPE.bucket, SHAPE.phase_buckets)
    oracle.same(oracle.rows(snapshot.agents, snapshot.current), expected)
    assert len(expected) > 100
