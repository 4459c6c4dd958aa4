"""The worker on a real SQLite log and a fake clock: who is waited for, what the clock closes, what a restart keeps."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.events import Event
from consumers.log import Entry, LogError, Topic
from consumers.log.sqlite import SqliteLog
from consumers.snapshot import Snapshot
from consumers.windows.group import Image
from consumers.windows.shape import Shape
from consumers.worker.checkpoints import Checkpoints
from consumers.worker.keeping import RestoreTimeoutError
from consumers.worker.saving import Saving
from consumers.worker.worker import Worker
from tests.unit.consumers.factories import SECOND, START, count, event

TOPIC = "events"
SHAPE = Shape(length=12 * SECOND, bucket=SECOND, lateness=0, idle_timeout=30 * SECOND, skew=10 * SECOND)


class Clock:
    """The wall clock, µs; moves when told."""

    def __init__(self, at: float = 0) -> None:
        self.now = START + round(at * SECOND)

    def __call__(self) -> int:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


class Bench:
    """A log of two partitions and a worker over it."""

    def __init__(self, log: SqliteLog, clock: Clock | None, directory: Path | None = None) -> None:
        self.log, self.clock = log, clock
        self.closed: list[Snapshot] = []
        self.dumped: dict[int, Image] = {0: ({"cycle": "first"}, {}), 1: ({"cycle": "second"}, {})}
        self.loaded: dict[int, Image] = {}
        saving = None
        if directory:
            checkpoints = Checkpoints(directory, SHAPE.fingerprint())
            saving = Saving(checkpoints, 10 * SECOND, lambda: self.dumped, self.loaded.update)
        self.saving = saving
        self.worker = self.another()

    def another(self, **options: int) -> Worker:
        return Worker(self.log, TOPIC, SHAPE, [0, 1], self._close, now=self.clock, saving=self.saving, **options)

    async def _close(self, snapshot: Snapshot) -> None:
        self.closed.append(snapshot)

    async def put(self, partition: int, events: Sequence[Event]) -> None:
        await self.log.append(TOPIC, [Entry(one.agent.encode(), one.encode(), partition) for one in events])

    @property
    def ends(self) -> list[int]:
        return [(snapshot.end - START) // SECOND for snapshot in self.closed]


@pytest.fixture
async def log():
    async with SqliteLog(":memory:") as log:
        await log.ensure([Topic(TOPIC, 2, 10**12)])
        yield log


async def test_a_worker_says_how_far_it_is(log) -> None:
    bench = Bench(log, Clock(5))
    await bench.put(0, [event("a"), event("a", at=2), event("a", at=3)])
    await bench.put(1, [event("b", at=2)])
    worker = bench.worker
    assert (worker.lags, worker.stats.restored) == ({}, False)
    await worker.start()
    assert (worker.lags, worker.stats.restored, worker.stats.rebuilt) == ({0: 3, 1: 1}, True, True)
    assert await worker.step(wait=0) == 4
    assert (worker.stats.closed, worker.stats.watermark, worker.stats.behind) == (2, START + 2 * SECOND, 0)
    await bench.put(1, [event("b", at=5), event("b", at=6)])
    bench.clock.pass_(1)
    assert await worker.step(wait=0) == 2
    assert (worker.stats.closed, worker.stats.watermark, worker.stats.behind) == (3, START + 3 * SECOND, 1)
    await worker.close()


async def test_windows_begin_at_the_earliest_first_event_whichever_partition_is_read_first(log) -> None:
    bench = Bench(log, Clock(20))
    await bench.put(0, [event("a", at=5), event("a", at=6)])
    await bench.put(1, [event("b"), event("b", at=6)])
    worker = bench.another(max_records=1)
    await worker.start()
    while not bench.ends:
        await worker.step(wait=0)
    assert bench.ends == list(range(1, 7))
    assert worker.windows.origin == START


@pytest.mark.parametrize(("ahead", "ends"), [(10, [1, 2, 3]), (10.000001, [])])
async def test_an_event_may_be_ahead_of_the_clock_by_the_skew_and_no_more(log, ahead: float, ends: list[int]) -> None:
    bench = Bench(log, Clock(-7))
    await bench.put(0, [event("a"), event("a", at=-7 + ahead)])
    await bench.put(1, [event("b"), event("b", at=-7 + ahead)])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    assert bench.ends == ends


async def test_a_window_waits_for_the_slowest_partition_and_the_other_is_not_folded_beyond_its_end(log) -> None:
    bench = Bench(log, Clock(5))
    await bench.put(0, [event("a"), event("a", at=5), event("a", "post", at=0.5)])
    await bench.put(1, [event("b")])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    assert bench.ends == []
    assert bench.worker.lags == {0: 1, 1: 0}
    await bench.put(1, [event("b", at=6)])
    await bench.worker.step(wait=0)
    assert bench.ends == [1, 2, 3, 4, 5]
    await bench.put(0, [event("a", at=6)])
    await bench.worker.step(wait=0)
    assert [count(snapshot, "a", "posts") for snapshot in bench.closed] == [0, 0, 0, 0, 0, 1]


async def test_a_partition_that_holds_nothing_yet_is_waited_for_until_it_was_silent(log) -> None:
    clock = Clock(5)
    bench = Bench(log, clock)
    await bench.put(0, [event("a"), event("a", at=5)])
    await bench.worker.start()
    clock.pass_(29)
    await bench.worker.step(wait=0)
    assert bench.ends == []
    clock.pass_(1)
    await bench.put(0, [event("a", at=6)])
    await bench.worker.step(wait=0)
    assert bench.ends == [1, 2, 3, 4, 5, 6]


async def test_what_is_read_of_a_partition_ahead_of_the_others_has_a_bound(log) -> None:
    bench = Bench(log, None)
    bench.worker = bench.another(max_records=10)
    await bench.put(0, [event("a", at=second) for second in range(200)])
    await bench.put(1, [event("b", at=tenth / 10) for tenth in range(2000)])
    await bench.worker.start()
    while not bench.ends or bench.ends[-1] < 198:
        await bench.worker.step(wait=0)
        assert all(sum(len(chunk.values) for chunk, _ in held) < 20 for held in bench.worker._backlog.held.values())
    assert [count(snapshot, "b", "likes") for snapshot in bench.closed[11:]] == [120] * len(bench.closed[11:])


async def test_a_partition_read_to_its_end_and_silent_is_no_longer_waited_for(log) -> None:
    clock = Clock(5)
    bench = Bench(log, clock)
    await bench.put(1, [event("b")])
    await bench.worker.start()
    for second in range(5, 36):
        await bench.put(0, [event("a", at=second)])
        await bench.worker.step(wait=0)
        assert bench.ends == ([] if second < 35 else list(range(1, 36)))
        clock.pass_(1)


async def test_the_silence_of_a_partition_begins_with_its_last_record(log) -> None:
    clock = Clock(5)
    bench = Bench(log, clock)
    await bench.put(1, [event("b")])
    await bench.worker.start()
    for second in range(5, 46):
        await bench.put(0, [event("a", at=second)])
        if second == 15:
            await bench.put(1, [event("b", at=15)])
        await bench.worker.step(wait=0)
        closed = 0 if second < 15 else 15 if second < 45 else 45
        assert bench.ends == list(range(1, closed + 1))
        clock.pass_(1)


async def test_with_no_traffic_the_wall_clock_closes_windows_until_the_last_agent_has_left(log) -> None:
    clock = Clock(1)
    bench = Bench(log, clock)
    await bench.put(0, [event("a")])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    clock.pass_(29)
    await bench.worker.step(wait=0)
    assert bench.ends == []
    clock.pass_(11)
    await bench.worker.step(wait=0)
    assert bench.ends == list(range(1, 12))
    clock.pass_(100)
    await bench.worker.step(wait=0)
    assert bench.ends == list(range(1, 26))
    assert bench.closed[-1].agents == []
    clock.pass_(100)
    await bench.worker.step(wait=0)
    assert bench.ends == list(range(1, 26))


async def test_the_watermark_does_not_step_back_to_the_clock_when_all_fall_silent(log) -> None:
    clock = Clock(0)
    bench = Bench(log, clock)
    for partition in (0, 1):
        await bench.put(partition, [event(f"a{partition}"), event(f"a{partition}", at=5)])
    await bench.worker.start()
    for _ in range(3):
        await bench.worker.step(wait=0)
        assert bench.worker.stats.watermark == START + 5 * SECOND
        clock.pass_(15)


async def test_one_event_far_in_the_future_closes_nothing(log) -> None:
    clock = Clock(3)
    bench = Bench(log, clock)
    await bench.put(0, [event("a"), event("wrong", at=86_000), event("a", at=2)])
    await bench.put(1, [event("b", at=2)])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    assert bench.ends == [1, 2]
    assert bench.worker.stats.watermark == START + 2 * SECOND


async def test_without_a_clock_nothing_but_events_and_the_end_closes_windows(log) -> None:
    bench = Bench(log, None)
    await bench.put(0, [event("a"), event("a", at=3.5)])
    await bench.put(1, [event("b", at=1)])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    assert bench.ends == [1]
    await bench.worker.finish()
    assert bench.ends == [1, 2, 3, 4]
    assert count(bench.closed[-1], "a", "likes") == 2


async def test_a_worker_goes_on_from_its_checkpoint_with_what_the_daemon_put_into_it(log, tmp_path) -> None:
    clock = Clock(3)
    bench = Bench(log, clock, tmp_path)
    await bench.put(0, [event("a", src="relay:x", seq=1), event("a", at=2, src="relay:x", seq=2)])
    await bench.put(1, [event("b", at=2)])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    await bench.worker.checkpoint()
    again = bench.another()
    await bench.put(0, [event("a", at=2, src="relay:x", seq=2), event("a", at=4, src="relay:x", seq=3)])
    await bench.put(1, [event("b", at=4)])
    await again.start()
    assert not again.stats.rebuilt
    assert bench.loaded == bench.dumped
    await again.step(wait=0)
    assert bench.ends == [1, 2, 3, 4]
    assert count(bench.closed[-1], "a", "likes") == 2
    assert again.windows.stats.duplicates == 1
    await again.step(wait=0)
    assert again.windows.stats.events == 2


async def test_a_checkpoint_that_the_daemon_can_do_nothing_with_gives_way_to_the_one_before(log, tmp_path) -> None:
    bench = Bench(log, Clock(3), tmp_path)
    for partition in (0, 1):
        await bench.put(partition, [event("a"), event("a", at=0.5)])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    await bench.put(0, [event("a", at=0.6)])
    await bench.worker.step(wait=0)
    await bench.worker.checkpoint()
    given = []

    def refuse_the_newest(blobs: object) -> None:
        given.append(blobs)
        if len(given) == 1:
            raise ValueError("it is of another kind")

    bench.saving = replace(bench.saving, load=refuse_the_newest)
    again = bench.another()
    await again.start()
    assert (len(given), again.stats.rebuilt, bench.saving.checkpoints.stats.damaged) == (2, False, 1)
    await again.step(wait=0)
    assert [part.state.slots.of.keys() for part in again.windows.parts.values()] == [{"a"}, {"a"}]


async def test_a_store_that_does_not_answer_ends_the_start_in_time(log, tmp_path, monkeypatch) -> None:
    bench, answer = Bench(log, Clock(3), tmp_path), threading.Event()
    monkeypatch.setattr(bench.saving.checkpoints.place, "folders", answer.wait)
    bench.saving = replace(bench.saving, patience=SECOND // 20)
    with pytest.raises(RestoreTimeoutError, match="0 of 0 bytes of the checkpoint were there") as late:
        await bench.another().start()
    answer.set()
    assert late.value.overdue


async def test_checkpoints_are_saved_every_so_often_and_not_before_the_windows_began(log, tmp_path) -> None:
    clock = Clock(3)
    bench = Bench(log, clock, tmp_path)
    await bench.worker.start()
    for _ in range(3):
        clock.pass_(10)
        await bench.worker.step(wait=0)
    assert bench.saving.checkpoints.stats.saved == 0
    await bench.put(0, [event("a", at=30)])
    saved = []
    for _ in range(25):
        clock.pass_(1)
        await bench.worker.step(wait=0)
        saved.append(bench.saving.checkpoints.stats.saved)
    assert saved[-1] == 3
    assert saved == sorted(saved)


async def test_without_a_checkpoint_windows_handed_on_before_are_closed_but_not_handed_on(log) -> None:
    bench = Bench(log, Clock(20))
    for partition in (0, 1):
        await bench.put(partition, [event(f"a{partition}", at=second) for second in range(5)])
    worker = bench.another(closed_before=START + 3 * SECOND)
    await worker.start()
    await worker.step(wait=0)
    assert bench.ends == [4]
    assert [count(bench.closed[0], agent, "likes") for agent in ("a0", "a1")] == [4, 4]


async def test_a_worker_that_dies_after_its_first_run_hands_that_window_on_again(log, tmp_path) -> None:
    bench = Bench(log, Clock(3), tmp_path)
    for partition in (0, 1):
        await bench.put(partition, [event(f"a{partition}"), event(f"a{partition}", at=1)])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    assert bench.ends == [1]
    again = bench.another(closed_before=START + SECOND)
    await again.start()
    await again.step(wait=0)
    assert not again.stats.rebuilt
    assert bench.ends == [1, 1]


async def test_a_checkpoint_ahead_of_the_log_is_of_another_log_and_the_windows_are_rebuilt(log, tmp_path) -> None:
    bench = Bench(log, Clock(20), tmp_path)
    await bench.put(0, [event("a"), event("a", at=1)])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    await bench.worker.checkpoint()
    async with SqliteLog(":memory:") as other:
        await other.ensure([Topic(TOPIC, 2, 10**12)])
        bench.log, given = other, []
        bench.saving = replace(bench.saving, load=given.append)
        await bench.put(0, [event("c")])
        worker = bench.another()
        await worker.start()
        assert worker.stats.rebuilt
        assert given == [{}]
        await worker.step(wait=0)
        assert worker.windows.agents == 1
    assert bench.saving.checkpoints.stats.damaged == 1


async def test_what_retention_took_before_it_was_read_is_a_gap(tmp_path) -> None:
    now = [0.0]
    async with SqliteLog(":memory:", clock=lambda: now[0]) as log:
        await log.ensure([Topic(TOPIC, 2, 1_000)])
        bench = Bench(log, Clock(100), tmp_path)
        await bench.put(0, [event("a")])
        await bench.worker.start()
        await bench.worker.step(wait=0)
        await bench.put(0, [event("lost", at=1)])
        now[0] = 10.0
        for second in range(5, 9):
            await bench.put(0, [event("a", at=second)])
            await log.end_offsets(TOPIC)
        while (await log.begin_offsets(TOPIC))[0] < 2:
            now[0] += 0.1
            await bench.put(0, [event("a", at=9)])
        await bench.worker.step(wait=0)
        assert bench.worker.windows.stats.lost >= 1
        assert [(gap.start, gap.cause) for gap in bench.worker.windows.gaps.known] == [(START, "retention")]


async def test_a_partition_that_retention_emptied_ends_its_gap_at_the_next_event(tmp_path) -> None:
    now = [0.0]
    async with SqliteLog(":memory:", clock=lambda: now[0]) as log:
        await log.ensure([Topic(TOPIC, 2, 1_000)])
        bench = Bench(log, Clock(100), tmp_path)
        await bench.put(0, [event("a")])
        await bench.worker.start()
        await bench.worker.step(wait=0)
        await bench.put(0, [event("lost", at=1)])
        while (await log.begin_offsets(TOPIC))[0] < 2:
            now[0] += 10.0
            await bench.put(1, [event("b", at=9)])
        await bench.worker.step(wait=0)
        assert not bench.worker.windows.gaps.known
        await bench.put(0, [event("a", at=7)])
        await bench.worker.step(wait=0)
        assert bench.worker.windows.stats.lost == 1
        assert [(gap.start, gap.end) for gap in bench.worker.windows.gaps.known] == [(START, START + 7 * SECOND)]


async def test_an_error_of_the_cycle_ends_the_worker_and_the_checkpoint_before_stands(log, tmp_path) -> None:
    bench = Bench(log, Clock(3), tmp_path)
    await bench.put(0, [event("a")])
    await bench.put(1, [event("b")])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    await bench.worker.checkpoint()

    async def refuse(_snapshot: Snapshot) -> None:
        raise LogError("The log is gone: bring it back.")

    bench.worker._on_close = refuse
    for partition in (0, 1):
        await bench.put(partition, [event("a", at=2)])
    with pytest.raises(LogError):
        await bench.worker.step(wait=0)
    again = bench.another()
    await again.start()
    await again.step(wait=0)
    assert bench.ends == [1, 2]


async def test_a_checkpoint_that_cannot_be_saved_is_counted_and_tried_again_when_the_next_is_due(log, tmp_path) -> None:
    clock = Clock(1)
    bench = Bench(log, clock, tmp_path / "state")
    (tmp_path / "state").write_bytes(b"in the way")
    await bench.put(0, [event("a")])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    assert bench.worker.stats.checkpoint_failures == 1
    for seconds, failures in ((9, 1), (1, 2), (1, 2)):
        clock.pass_(seconds)
        await bench.worker.step(wait=0)
        assert bench.worker.stats.checkpoint_failures == failures
    (tmp_path / "state").unlink()
    clock.pass_(9)
    await bench.worker.step(wait=0)
    assert (bench.worker.stats.checkpoint_failures, bench.saving.checkpoints.stats.saved) == (2, 1)
    assert bench.saving.checkpoints.stats.saved_at == clock.now
    assert bench.saving.checkpoints.stats.bytes > 0


async def test_the_checkpoint_after_an_erasure_leaves_none_that_names_who_is_gone(log, tmp_path) -> None:
    def named() -> int:
        return sum(b"gone" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    clock = Clock(1)
    bench = Bench(log, clock, tmp_path)
    for partition in (0, 1):
        await bench.put(partition, [event(f"stays{partition}"), event(f"gone{partition}")])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    await bench.worker.checkpoint()
    await bench.worker.checkpoint()
    assert named() == 4
    await bench.put(0, [event("gone0", "account", status="deleted"), event("stays0", at=0.5)])
    await bench.put(1, [event("gone1", "account", status="deleted"), event("stays1", at=0.5)])
    await bench.worker.step(wait=0)
    await bench.worker.checkpoint()
    assert bench.worker.windows.burying
    await bench.put(0, [event("stays0", at=1)])
    await bench.put(1, [event("stays1", at=1)])
    await bench.worker.step(wait=0)
    assert bench.closed[-1].erased == ["gone0", "gone1"]
    await bench.worker.checkpoint()
    assert named() == 0


async def test_stop_ends_the_run_with_a_checkpoint(log, tmp_path) -> None:
    bench = Bench(log, Clock(3), tmp_path)
    await bench.put(0, [event("a")])
    await bench.worker.start()
    await bench.worker.step(wait=0)
    stop = asyncio.Event()
    stop.set()
    before = bench.saving.checkpoints.stats.saved
    await bench.worker.run(stop)
    assert bench.saving.checkpoints.stats.saved == before + 1
