"""Between source and bridge: as much as waits, in order, up to a batch; and the source's end, whatever it is."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from consumers.bridge.intake import Intake
from consumers.sources import Delivery
from tests.unit.consumers.factories import event


class Given:
    """A source that delivers a list, then fails with an error, or waits for ever where `silent`, or ends."""

    name = "sim:1"

    def __init__(self, script: Sequence[Delivery], error: Exception | None = None, *, silent: bool = False) -> None:
        self.asked: list[int | None] = []
        self.left = False
        self._script, self._error, self._silent = script, error, silent

    async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        self.asked.append(cursor)
        try:
            for delivery in self._script:
                yield delivery
            if self._error:
                raise self._error
            if self._silent:
                await asyncio.Event().wait()
        finally:
            await settled()  # as one that says goodbye to its host
            self.left = True


def script(count: int, size: int = 1) -> list[Delivery]:
    return [Delivery(cursor=number, events=[event("a")] * size) for number in range(count)]


async def settled() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def test_what_waits_comes_in_order_and_then_the_end() -> None:
    source = Given(script(100))
    taken: list[Delivery] = []
    async with Intake(source, 7, asyncio.Event()) as intake:
        while (batch := await intake.take(None)) is not None:
            taken += batch
    assert [delivery.cursor for delivery in taken] == list(range(100))
    assert source.asked == [7]


@pytest.mark.parametrize(("size", "deliveries"), [(1_500, 4), (2_500, 2), (9_000, 1)])
async def test_a_batch_ends_where_it_has_events_enough(size: int, deliveries: int) -> None:
    async with Intake(Given(script(12, size)), None, asyncio.Event()) as intake:
        await settled()
        assert [len(await intake.take(None)) for _ in range(3)] == [deliveries] * 3


async def test_nothing_comes_of_a_silent_source_after_a_while_and_nothing_is_lost_by_waiting() -> None:
    gate = asyncio.Event()

    class Slow(Given):
        async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
            await gate.wait()
            async for delivery in super().deliveries(cursor):
                yield delivery

    async with Intake(Slow(script(1)), None, asyncio.Event()) as intake:
        assert await intake.take(0.01) == []
        assert await intake.take(0.01) == []
        gate.set()
        assert [delivery.cursor for delivery in await intake.take(None)] == [0]


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_source_that_fails_is_told_after_its_last_delivery(count: int) -> None:
    async with Intake(Given(script(count), OSError("gone")), None, asyncio.Event()) as intake:
        await settled()
        if count:
            assert len(await intake.take(None)) == count
        with pytest.raises(OSError, match="gone"):
            await intake.take(None)


async def test_after_stop_what_was_read_is_handed_on_and_then_the_source_is_left() -> None:
    stop = asyncio.Event()
    source = Given(script(3), silent=True)
    async with Intake(source, None, stop) as intake:
        await settled()
        stop.set()
        await settled()
        assert len(await intake.take(None)) == 3
        assert source.left
        assert await intake.take(None) is None


async def test_stop_ends_the_waiting_for_a_silent_source() -> None:
    stop = asyncio.Event()
    async with Intake(Given([], silent=True), None, stop) as intake:
        waiting = asyncio.create_task(intake.take(None))
        await settled()
        stop.set()
        assert await waiting == []
        assert await intake.take(None) is None


async def test_a_source_that_failed_while_it_was_being_stopped_just_ends() -> None:
    stop = asyncio.Event()
    async with Intake(Given(script(1), OSError("gone")), None, stop) as intake:
        await settled()
        stop.set()
        await settled()
        assert len(await intake.take(None)) == 1
        assert await intake.take(None) is None


async def test_leaving_ends_the_reading() -> None:
    source = Given(script(40), silent=True)
    async with Intake(source, None, asyncio.Event()) as intake:
        await settled()
        assert not source.left
    assert source.left
    assert intake._reading.done()
    assert intake._stopping.done()
