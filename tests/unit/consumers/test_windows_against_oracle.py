"""The windows equal a recount of all events, however they come: late, repeated, out of order, killed in between."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.events import Event
from consumers.log import Entry, Topic, partition_of
from consumers.log.sqlite import SqliteLog
from consumers.snapshot import Snapshot
from consumers.windows.shape import Shape
from consumers.worker.checkpoints import Checkpoints
from consumers.worker.saving import Saving
from consumers.worker.worker import Worker
from tests.unit.consumers import oracle

TOPIC = "events"
START = 1_700_000_000_000_000
SHAPES = (
    Shape(length=12_000, bucket=1_000, lateness=500),
    Shape(length=24_000, bucket=1_000, hop=2_000, lateness=0),
    Shape(length=12_000, bucket=1_000, hop=4_000, lateness=3_000),
)
KINDS = ("post", "reply", "quote", "repost", "like", "follow")


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Draw events in order of arrival: time goes on, with steps back, leaps, erasures and what is no action."""
    events = []
    t = START + draw(st.integers(0, 50_000))
    for seq in range(draw(st.integers(1, 60))):
        t += draw(st.sampled_from((0, 1, 50, 400, 999, 1_000, 2_500, 9_000, 70_000)))
        when = t - draw(st.sampled_from((0, 0, 0, 300, 1_500, 7_000, 14_000, 30_000)))
        agent = f"did:plc:{draw(st.sampled_from('abcdefghé'))}"
        role = draw(st.sampled_from(("actor", "actor", "target", "account", "retract")))
        event = Event(agent, "actor", "post", None, when, "relay:test", seq, rev=f"r{seq}")
        if role in ("account", "retract"):
            event.kind = role
            event.status = draw(st.sampled_from(("active", "deleted", "deactivated"))) if role == "account" else None
        else:
            event.role = role
            event.kind = draw(st.sampled_from(KINDS if role == "actor" else KINDS[1:]))
            if event.kind in ("post", "reply", "quote") and role == "actor":
                event.valence = draw(st.none() | st.sampled_from((-1.0, -0.5, -0.49999, 0.12345, 0.00005, 1.0)))
        events.append(event)
    return events


@dataclass
class Told:
    """A worker's snapshots, in order; one that stops where it is told."""

    snapshots: list[Snapshot]

    async def __call__(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)


def prefix(events: list[Event], limit: int) -> list[Event]:
    """Return a partition's events up to the first that reaches the limit."""
    for index, event in enumerate(events):
        if event.t >= limit:
            return events[: index + 1]
    return events


def check(snapshots: list[Snapshot], partitions: list[list[Event]], shape: Shape) -> None:
    """Hold every snapshot, and every end between them that has none, against a recount."""
    by_end = {snapshot.end: snapshot for snapshot in snapshots}
    assert list(by_end) == sorted(by_end)
    greatest = max(event.t for events in partitions for event in events)
    last = shape.head_after(greatest) * shape.bucket
    first = shape.head_after(min(events[0].t for events in partitions if events)) * shape.bucket
    assert max(by_end, default=last) <= last
    for end in range(first, last + 1, shape.hop):
        read = [event for events in partitions for event in oracle.alive(prefix(events, end + shape.lateness))]
        expected = [
            oracle.table(read, end - ages * shape.length, end - (ages - 1) * shape.length, *phases(shape))
            for ages in (1, 2)
        ]
        snapshot = by_end.get(end)
        if snapshot is None:
            assert expected == [{}, {}]
            continue
        assert snapshot.agents == sorted(expected[0].keys() | expected[1].keys())
        oracle.same(oracle.rows(snapshot.agents, snapshot.current), expected[0])
        if snapshot.preceding is not None:
            oracle.same(oracle.rows(snapshot.agents, snapshot.preceding), expected[1])


def phases(shape: Shape) -> tuple[int, int]:
    return shape.bucket, shape.phase_buckets


@settings(deadline=None)
@given(data=st.data(), events=streams(), shape=st.sampled_from(SHAPES))
def test_every_window_equals_a_recount_whatever_the_batches_partitions_repeats_and_kills(data, events, shape) -> None:
    count = data.draw(st.integers(1, 3), "partitions")
    sent = list(events)
    for _ in range(data.draw(st.integers(0, 3), "repeated stretches")):
        first = data.draw(st.integers(0, len(sent) - 1))
        stop = first + data.draw(st.integers(1, 10))
        sent[stop:stop] = sent[first:stop]
    cuts = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=6), "batches")
    kills = data.draw(st.lists(st.integers(0, 12), max_size=3), "kills")
    told = Told([])

    async def live() -> None:
        with tempfile.TemporaryDirectory() as place:
            async with SqliteLog(":memory:") as log:
                await log.ensure([Topic(TOPIC, count, 10**12)])
                await log.append(TOPIC, [Entry(event.agent.encode(), event.encode()) for event in sent])
                saving = Saving(Checkpoints(Path(place), shape.fingerprint()), every=10**15)
                for steps in kills:
                    worker = Worker(log, TOPIC, shape, range(count), told, saving=saving, max_records=cuts[0])
                    await worker.start()
                    for _ in range(steps):
                        await worker.step(wait=0)
                    if steps % 2:
                        await worker.checkpoint()  # else all of this life is lost
                    await worker.close()
                worker = Worker(log, TOPIC, shape, range(count), told, saving=saving, max_records=cuts[-1])
                await worker.start()
                await worker.finish()
                await worker.close()
                assert worker.windows.stats.malformed == 0

    asyncio.run(live())
    partitions: list[list[Event]] = [[] for _ in range(count)]
    for event in events:
        partitions[partition_of(event.agent.encode(), count)].append(event)
    again: dict[int, Snapshot] = {}
    for snapshot in told.snapshots:
        before = again.setdefault(snapshot.end, snapshot)
        assert before.agents == snapshot.agents
        assert (before.current == snapshot.current).all()
        assert before.coverage == snapshot.coverage
    check([again[end] for end in sorted(again)], partitions, shape)
