"""Parts that run together: one death ends all, a signal ends all in order, nothing hangs."""

import asyncio
import os
import signal

import pytest

from daemon.service.supervision import DrainError, PartDiedError, after, signals, supervise


class Part:
    def __init__(self, stop: asyncio.Event, fate: BaseException | None = None) -> None:
        self.stop, self.fate, self.ended = stop, fate, False

    async def __call__(self) -> None:
        if self.fate:
            raise self.fate
        await self.stop.wait()
        await asyncio.sleep(0)
        self.ended = True


async def test_the_parts_run_until_they_are_stopped_and_end_in_order() -> None:
    stop = asyncio.Event()
    bridge, worker = Part(stop), Part(stop)
    running = asyncio.ensure_future(supervise({"bridge": bridge, "worker": worker}, stop, budget=60))
    await asyncio.sleep(0)
    assert not running.done()
    stop.set()
    await running
    assert bridge.ended
    assert worker.ended


async def test_the_death_of_one_ends_the_others_in_order_and_is_told_with_its_cause() -> None:
    stop = asyncio.Event()
    worker = Part(stop)
    cause = OSError("disk full")
    with pytest.raises(PartDiedError, match=r"^the bridge died: OSError: disk full$") as died:
        await supervise({"bridge": Part(stop, cause), "worker": worker}, stop, budget=60)
    assert died.value.__cause__ is cause
    assert worker.ended
    assert not died.value.overdue


async def test_a_death_that_others_do_not_follow_says_so() -> None:
    with pytest.raises(PartDiedError) as died:
        await supervise(
            {"bridge": Part(asyncio.Event(), OSError()), "worker": Part(asyncio.Event())}, asyncio.Event(), budget=0.01
        )
    assert died.value.overdue


async def test_a_part_that_ends_by_itself_ends_nothing_else() -> None:
    stop = asyncio.Event()

    async def recording() -> None:
        return

    worker = Part(stop)
    running = asyncio.ensure_future(supervise({"bridge": recording, "worker": worker}, stop, budget=60))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not running.done()
    stop.set()
    await running
    assert worker.ended


async def test_a_part_that_does_not_end_is_cancelled_when_the_budget_is_spent() -> None:
    stop = asyncio.Event()
    cancelled = []

    async def deaf() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    stop.set()
    with pytest.raises(DrainError, match=r"^the worker did not end within 0\.01 s$"):
        await supervise({"worker": deaf, "bridge": Part(stop)}, stop, budget=0.01)
    assert cancelled == [True]


async def test_a_death_while_stopping_is_a_death() -> None:
    stop = asyncio.Event()

    async def dies_late() -> None:
        await stop.wait()
        raise ValueError("flush failed")

    stop.set()
    with pytest.raises(PartDiedError, match="the bridge died: ValueError: flush failed"):
        await supervise({"bridge": dies_late}, stop, budget=60)


async def test_the_first_signal_stops_and_the_second_forces() -> None:
    stop, forced, statuses = asyncio.Event(), asyncio.Event(), []

    def force(status: int) -> None:
        statuses.append(status)
        forced.set()

    with signals(stop, force=force):
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        assert statuses == []
        os.kill(os.getpid(), signal.SIGINT)
        await forced.wait()
    assert statuses == [130]


async def test_a_first_signal_while_all_is_ending_already_forces_nothing() -> None:
    stop, statuses = asyncio.Event(), list[int]()
    stop.set()
    with signals(stop, force=statuses.append):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
    assert statuses == []


async def test_a_span_of_time_ends_by_itself_or_with_what_ends_before() -> None:
    stop = asyncio.Event()
    await after(0, stop)
    assert stop.is_set()
    await after(3600, stop)
