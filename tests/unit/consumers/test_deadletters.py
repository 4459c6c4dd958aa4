"""Dead letters on real logs: bounded over restarts, and a stream that is mostly refused ends the bridge."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.bridge.bridge import Bridge
from consumers.bridge.cursors import CursorFile
from consumers.bridge.deadletters import DivertedError, Letters, Limits, open_letters, settled
from consumers.log import Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.sources import Delivery, Rejected

TOPICS = Topics()
START = 1_700_000_000_000_000
SECOND = 1_000_000
NAME = "relay:test"


def delivery(number: int, size: int, bad: int) -> Delivery:
    """Operations `number·size+1 …`, the last `bad` of which could not be read."""
    places = range(number * size + 1, (number + 1) * size + 1)
    rejected = [Rejected("unknown_kind", "", f"{NAME}@{place}", 9) for place in places[size - bad :]]
    return Delivery(cursor=places[-1], frames=size, operations=size, accepted=size - bad, rejected=rejected)


class Upstream:
    """Deliveries of 100 operations after a cursor, a second apart, `bad` of each from the given place on unreadable."""

    name = NAME

    def __init__(self, breaks_at: int, bad: int, last: int) -> None:
        self.now = START
        self._breaks_at, self._bad, self._last = breaks_at, bad, last

    async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        for number in range((cursor or 0) // 100, self._last // 100):
            self.now += SECOND
            yield delivery(number, 100, self._bad if number * 100 >= self._breaks_at else 0)
            await asyncio.sleep(0)


@pytest.fixture
async def log():
    async with SqliteLog(":memory:") as opened:
        await opened.ensure([Topic(TOPICS.events, 2, 10**12), Topic(TOPICS.deadletters, 1, 10**12)])
        yield opened


def bridge(upstream: Upstream, log: SqliteLog, directory, limits: Limits | None = None) -> Bridge:
    return Bridge(upstream, log, TOPICS, 2, directory, now=lambda: upstream.now, limits=limits)


async def test_a_stream_that_cannot_be_read_ends_the_bridge_and_its_place_stays_before_it(log, tmp_path) -> None:
    for _ in range(3):  # however often it is started again
        upstream = Upstream(breaks_at=20_000, bad=100, last=1_000_000)
        broken = bridge(upstream, log, tmp_path)
        with pytest.raises(DivertedError) as said:
            await broken.run(asyncio.Event())
        assert "Of the last" in str(said.value)
        assert f"of {NAME}" in str(said.value)
        assert "unknown_kind" in str(said.value)
        # Half of the last 10,000, and what was read meanwhile: the queue's 16 deliveries and the one in hand.
        assert broken.stats.operations <= 25_000 + 17 * 100 + 100
        saved = CursorFile(tmp_path, NAME).load()
        assert saved is not None
        assert 15_000 <= (saved.cursor or 0) <= 21_000
    mended = bridge(Upstream(breaks_at=10**9, bad=0, last=40_000), log, tmp_path)
    await mended.run(asyncio.Event())
    assert (mended.stats.cursor, mended.stats.rejected) == (40_000, {})


async def test_from_a_stream_that_was_never_read_nothing_is_saved(log, tmp_path) -> None:
    with pytest.raises(DivertedError):
        await bridge(Upstream(0, 100, 10**6), log, tmp_path).run(asyncio.Event())
    assert CursorFile(tmp_path, NAME).load() is None


async def test_less_than_the_share_goes_on_and_more_goes_on_where_it_is_asked_for(log, tmp_path) -> None:
    await (usual := bridge(Upstream(0, 49, 30_000), log, tmp_path / "a")).run(asyncio.Event())
    await (asked := bridge(Upstream(0, 100, 30_000), log, tmp_path / "b", Limits(stop_share=1.0))).run(asyncio.Event())
    assert (usual.stats.cursor, asked.stats.cursor) == (30_000, 30_000)


async def test_letters_are_not_written_again_by_a_bridge_that_starts_again_and_again(log) -> None:
    limits = Limits(per_minute=100, share=1.0, free=100, stop_share=1.0)
    upstream = Upstream(0, 10, 500)
    for _ in range(5):
        again = bridge(upstream, log, None, limits)
        await again.run(asyncio.Event())
        assert again.stats.rejected.total() == again.stats.deadletters + again.stats.overflow == 50
    letters = await open_letters(log, TOPICS.deadletters)
    assert len({letter.where for letter in letters}) == len(letters) == 50


async def test_letters_of_the_same_minute_in_an_earlier_life_count_against_the_bound(log) -> None:
    limits = Limits(per_minute=30, share=1.0, free=30, stop_share=1.0)
    for life in range(4):
        letters = Letters(NAME, limits, lambda: START)
        await letters.recall(log, TOPICS.deadletters)
        await log.append(TOPICS.deadletters, letters.write(delivery(life, 20, 20).rejected, 20))
    assert len(await open_letters(log, TOPICS.deadletters)) == 30


async def test_a_settled_place_is_no_longer_open_until_it_is_met_again(log) -> None:
    written = Letters(NAME, Limits(), lambda: START).write(delivery(0, 5, 5).rejected, 5)
    await log.append(TOPICS.deadletters, written)
    first, *others = await open_letters(log, TOPICS.deadletters)
    await log.append(TOPICS.deadletters, settled([first], START + 1))
    assert await open_letters(log, TOPICS.deadletters) == others
    await log.append(TOPICS.deadletters, written[:1])
    assert await open_letters(log, TOPICS.deadletters) == [first, *others]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=60))
def test_the_bridge_ends_exactly_when_the_last_operations_hold_too_many_refusals(
    batches: list[tuple[int, int]],
) -> None:
    letters = Letters(NAME, Limits(stop_share=0.5, stop_over=100), lambda: START)
    seen: list[tuple[int, int]] = []
    for good, bad in batches:
        rejected = [Rejected("truncated", "", f"{NAME}@{index}", 1) for index in range(bad)]
        letters.write(rejected, good + bad)
        seen.append((good + bad, bad))
        window, refused = 0, 0
        for operations, bads in reversed(seen):
            if window >= 100:
                break
            window, refused = window + operations, refused + bads
        if refused > max(100, window) / 2:
            with pytest.raises(DivertedError):
                letters.check()
            return
        letters.check()
