"""Ranks agree: however many share the partitions, they close the windows that one closes, with the same in them."""

import tempfile
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orjson import dumps

from consumers.events import Event
from consumers.gaps import gap_record
from consumers.log import Entry, Topic
from consumers.log.sqlite import SqliteLog
from consumers.peers import Alone, Peers
from consumers.snapshot import Snapshot
from consumers.sources import Gap
from consumers.windows.shape import Shape
from consumers.worker.agreement import Standing, beginning, last_watermark, watermark
from consumers.worker.checkpoints import Checkpoint, Checkpoints
from consumers.worker.form import CheckpointError
from consumers.worker.saving import Saving
from consumers.worker.worker import Worker
from tests.peers import Seat, at_once, together
from tests.unit.consumers.factories import event
from tests.unit.consumers.test_windows_against_oracle import SHAPES, TOPIC, streams

PARTITIONS = 4
STEPS = 4


@dataclass
class Life:
    """What happens: the ranks there are in each stretch between two checkpoints, and the wall clock at each step."""

    ranks: Sequence[int]
    clock: Sequence[int]


@dataclass
class Told:
    """What all ranks were handed, by the window's end."""

    by_end: dict[int, list[Snapshot]] = field(default_factory=dict)

    async def __call__(self, snapshot: Snapshot) -> None:
        self.by_end.setdefault(snapshot.end, []).append(snapshot)


def told_of(life: Life, entries: Sequence[Entry], shape: Shape) -> Told:
    """Live a life over a log that holds all the entries from the start."""
    told = Told()
    with tempfile.TemporaryDirectory() as place:
        for stretch, size in enumerate(life.ranks):

            async def live(peers: Peers, stretch: int = stretch) -> None:
                times = iter(life.clock[stretch * STEPS :])
                clock = [next(times, life.clock[-1])]
                async with SqliteLog(":memory:") as log:
                    await log.ensure([Topic(TOPIC, PARTITIONS, 10**12)])
                    await log.append(TOPIC, entries)
                    saving = Saving(Checkpoints(Path(place), shape.fingerprint(), peers), every=10**15)
                    mine = range(peers.rank, PARTITIONS, peers.size)
                    worker = Worker(log, TOPIC, shape, mine, told, now=lambda: clock[0], saving=saving, peers=peers)
                    await worker.start()
                    for _ in range(STEPS):
                        clock[0] = next(times, clock[0])
                        await worker.step(wait=0)
                    await worker.step(leaving=peers.rank == 0)
                    assert worker.left
                    await worker.checkpoint()
                    await worker.close()

            if size == 1:
                at_once(1, lambda _, live=live: live(Alone()))
            else:
                at_once(size, live)
    return told


def merged(snapshots: Sequence[Snapshot]) -> tuple[object, ...]:
    """One window of all ranks as one rank would have it."""
    first = snapshots[0]
    for one in snapshots:
        assert (one.end, one.coverage, one.preceding_coverage) == (first.end, first.coverage, first.preceding_coverage)
        assert (one.preceding is None, one.watermark) == (first.preceding is None, first.watermark)
    agents = [agent for one in snapshots for agent in one.agents]
    order = sorted(range(len(agents)), key=agents.__getitem__)
    current = [one.current for one in snapshots]
    preceding = [one.preceding for one in snapshots if one.preceding is not None]
    return (
        first.coverage,
        first.preceding_coverage,
        [agents[place] for place in order],
        [np.concatenate(some, axis=1)[:, order].tolist() for some in (current, preceding) if some],
        np.concatenate([one.partitions for one in snapshots])[order].tolist(),
        sorted(name for one in snapshots for name in one.erased),
    )


def shifted(shape: Shape) -> Shape:
    """The shape with an idle timeout that the drawn clocks come to, and with no regard for the clock's distance."""
    return Shape(shape.length, shape.bucket, shape.hop, shape.lateness, idle_timeout=20_000, skew=1 << 60)


@settings(max_examples=15, deadline=None)
@given(
    events=streams(),
    shape=st.sampled_from(SHAPES).map(shifted),
    ranks=st.lists(st.integers(2, 4), min_size=1, max_size=3),
    ahead=st.lists(st.sampled_from((0, 1_000, 15_000, 30_000, 200_000)), min_size=5, max_size=13),
    hole=st.none() | st.tuples(st.integers(0, 60), st.integers(1, 40_000)),
)
def test_however_many_ranks_share_the_partitions_each_window_is_the_one_of_a_single_rank(
    events: list[Event], shape: Shape, ranks: list[int], ahead: list[int], hole: tuple[int, int] | None
) -> None:
    entries = [Entry(event.agent.encode(), event.encode()) for event in events]
    if hole is not None:
        t = events[min(hole[0], len(events) - 1)].t
        record = dumps(gap_record("relay:test", Gap(t - hole[1], t, "downtime")))
        place = min(hole[0], len(entries))
        entries[place:place] = [Entry(b"bridge", record, partition) for partition in range(PARTITIONS)]
    clock, now = [], events[-1].t
    for step in ahead:
        now += step
        clock.append(now)
    one = told_of(Life([1] * len(ranks), clock), entries, shape)
    many = told_of(Life(ranks, clock), entries, shape)
    # Where the wall clock closes, a rank that waited for the others before it read on is a step later.
    ends = sorted((list(one.by_end), list(many.by_end)), key=len)
    assert ends[0] == ends[1][: len(ends[0])]
    for end in ends[0]:
        (whole,) = one.by_end[end]
        assert merged(many.by_end[end]) == merged([whole])


def standing(**given: object) -> Standing:
    plain = {
        "expecting": False,
        "first": None,
        "tops": (),
        "greatest": None,
        "clock": 0,
        "due": False,
        "leaving": False,
    }
    return Standing(**(plain | given))  # type: ignore[arg-type]


def test_the_watermark_is_the_least_over_all_partitions_of_all_ranks() -> None:
    shape = Shape()
    assert watermark([standing(tops=(9, 7)), standing(tops=(8,)), standing()], shape) == 7
    assert watermark([standing(tops=(9,)), standing(tops=(None,))], shape) is None
    late, early = standing(clock=90_000_000, greatest=5), standing(clock=80_000_000)
    assert watermark([late, early], shape) == 80_000_000 - shape.idle_timeout
    assert watermark([standing(clock=70_000_000)], shape) == 70_000_000 - shape.idle_timeout
    assert watermark([standing(greatest=100), standing(greatest=300)], shape) == 300
    assert last_watermark([standing(tops=(9,)), standing(greatest=100)], shape) == 9
    assert last_watermark([standing()], shape) is None


def test_windows_begin_when_every_rank_has_the_first_event_of_each_of_its_partitions() -> None:
    assert beginning([standing(first=3), standing(expecting=True, first=1)]) is None
    assert beginning([standing(first=3), standing(first=1), standing()]) == 1
    assert beginning([standing(), standing()]) is None


def test_ranks_meet_before_their_pause_is_over_once_they_wait_for_nobody_else() -> None:
    async def live(peers: Seat) -> list[tuple[int, int]]:
        peers.pause, meetings, seen = 10**9, [], []
        meet = peers.meet

        def counted(value: object) -> Coroutine[None, None, list[object]]:
            meetings.append(value)
            return meet(value)

        peers.meet = counted  # type: ignore[assignment, method-assign]
        async with SqliteLog(":memory:") as log:
            await log.ensure([Topic(TOPIC, 2, 10**12)])
            worker = Worker(log, TOPIC, Shape(lateness=0), [peers.rank], Told(), peers=peers)
            for number, second in enumerate((0, 30, 70, 100)):
                await log.append(TOPIC, [Entry(b"a", event("a", at=second).encode(), peers.rank)])
                if number == 0:
                    await worker.start()
                await worker.step(wait=0)
                seen.append((worker.stats.closed, len(meetings)))
            await worker.close()
        return seen

    assert at_once(2, live) == [[(0, 2), (0, 2), (1, 4), (1, 4)]] * 2


def test_a_checkpoint_is_of_all_ranks_or_of_none(tmp_path: Path) -> None:
    def moment(partition: int, number: int) -> Checkpoint:
        image = ({"number": number}, {"rows": np.arange(number)})
        return Checkpoint({"head": number}, {partition: number}, {partition: image})

    def save(number: int, refusing: int | None = None):
        def work(peers: Peers) -> str | None:
            checkpoints = Checkpoints(tmp_path, {}, peers)
            if peers.rank == refusing:
                checkpoints.place.write = None  # type: ignore[method-assign]
            try:
                checkpoints.save(moment(peers.rank, number), now=number)
            except CheckpointError as error:
                return str(error)
            return None

        return together(3, work)

    assert save(1) == [None] * 3
    assert len({*save(2, refusing=1)}) == 1
    assert [one.common for one in Checkpoints(tmp_path, {}).load()] == [{"head": 1}]
    assert save(3) == [None] * 3
    (newest, _) = Checkpoints(tmp_path, {}).load()
    assert newest.offsets == {0: 3, 1: 3, 2: 3}
    next(tmp_path.glob("*3/partition-00002.images")).write_bytes(b"")

    def load(peers: Peers) -> list[tuple[int, list[int]]]:
        found = Checkpoints(tmp_path, {}, peers).load(range(peers.rank, 3, peers.size))
        return [(one.common["head"], sorted(one.images)) for one in found]

    assert together(2, load) == [[(1, [0, 2])], [(1, [1])]]


def test_ranks_that_do_not_share_a_place_are_told_so(tmp_path: Path) -> None:
    def work(peers: Peers) -> str:
        apart = Checkpoints(tmp_path / str(peers.rank), {}, peers)
        image = ({}, {"rows": np.arange(3)})
        with pytest.raises(CheckpointError) as refused:
            apart.save(Checkpoint({}, {peers.rank: 1}, {peers.rank: image}), now=1)
        return str(refused.value)

    (told,) = Counter(together(2, work))
    assert "set checkpoints.directory to a place that all ranks share" in told
