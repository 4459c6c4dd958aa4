"""Who is asked for followers and when, by a clock that only moves when somebody waits."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from consumers.followers import MOST, AskError, FollowersError, Reply
from consumers.followers.cache import Cache
from consumers.followers.keeper import LONGEST_BACKOFF, UNKNOWN_AGE, Followers
from consumers.snapshot import Coverage, Snapshot
from engine.columns import COLUMNS, INDEX

DAY = 86_400.0


def did(number: int) -> str:
    return f"did:plc:{number:04d}"


def snapshot(received: dict[str, int], erased: Sequence[str] = ()) -> Snapshot:
    agents = sorted(received)
    columns = np.zeros((len(COLUMNS), len(agents)), np.int32)
    columns[INDEX["likes_in"]] = [received[agent] for agent in agents]
    return Snapshot("all", 0, 60, agents, columns, None, Coverage(1.0), Coverage(0.0), 60, list(erased))


class World:
    """A clock, and a server that plays these acts and after them knows that everybody has ten followers."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.acts: list[Callable[[list[str]], Reply]] = []
        self.asked: list[list[str]] = []
        self.slept: list[float] = []

    async def ask(self, dids: Sequence[str]) -> Reply:
        self.asked.append(list(dids))
        if self.acts:
            return self.acts.pop(0)(list(dids))
        return Reply(dict.fromkeys(dids, 10))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def settle(self, followers: Followers, *snapshots: Snapshot) -> None:
        """Note these windows and ask until nobody is left to be asked for."""
        for noted in snapshots:
            await followers.note(noted)
        stop = asyncio.Event()
        running = asyncio.ensure_future(followers.run(stop))
        while not running.done() and not followers.idle:  # noqa: ASYNC110 - it is looked at from outside
            await asyncio.sleep(0)
        stop.set()
        await running


def fails(error: AskError) -> Callable[[list[str]], Reply]:
    def act(_dids: list[str]) -> Reply:
        raise error

    return act


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    async with Cache(tmp_path / "followers.db", rows=1_000) as opened:
        yield opened


@pytest.fixture
def followers(cache: Cache, world: World) -> Followers:
    return keeper(cache, world)


def keeper(cache: Cache, world: World, rate: float = 2.0) -> Followers:
    return Followers(
        cache, world.ask, rate=rate, max_age=DAY, clock=lambda: world.now, sleep=world.sleep, draw=lambda: 1.0
    )


async def test_the_most_interacted_with_are_asked_for_first_and_then_known(world: World, followers: Followers) -> None:
    received = {did(number): number * 7 % 60 for number in range(60)}
    assert followers.known(list(received)).tolist() == [-1] * 60
    await world.settle(followers, snapshot(received))
    sizes = [len(batch) for batch in world.asked]
    assert sizes == [MOST, MOST, 10]
    assert [received[agent] for batch in world.asked for agent in batch] == list(range(59, -1, -1))
    assert followers.known([did(3), "did:plc:other"]).tolist() == [10, -1]
    assert (followers.stats.requests, followers.stats.asked, followers.stats.backlog) == (3, 60, 0)


async def test_requests_keep_to_the_rate(world: World, followers: Followers) -> None:
    await world.settle(followers, snapshot({did(number): 0 for number in range(100)}))
    assert world.slept[:3] == [0.5, 0.5, 0.5]


async def test_time_spent_waiting_for_an_answer_counts_toward_the_rate(world: World, followers: Followers) -> None:
    def slow(dids: list[str]) -> Reply:
        world.now += 0.3
        return Reply(dict.fromkeys(dids, 1))

    world.acts = [slow]
    await world.settle(followers, snapshot({did(number): 0 for number in range(26)}))
    assert world.slept[0] == pytest.approx(0.2)


async def test_who_is_no_account_is_never_asked_for(world: World, followers: Followers) -> None:
    await world.settle(followers, snapshot({"bot-7": 100, did(1): 0}))
    assert world.asked == [[did(1)]]


async def test_an_answer_is_asked_for_again_when_it_is_too_old_and_used_until_then(
    world: World, followers: Followers
) -> None:
    window = snapshot({did(1): 5})
    await world.settle(followers, window)
    world.now += DAY - 10
    await world.settle(followers, window)
    assert len(world.asked) == 1
    world.now += 10
    assert followers.known([did(1)]).tolist() == [10]
    await world.settle(followers, window)
    assert len(world.asked) == 2


async def test_an_account_that_the_server_does_not_know_is_left_alone_for_a_while(
    world: World, followers: Followers
) -> None:
    world.acts = [lambda _dids: Reply({})]
    window = snapshot({did(1): 5})
    await world.settle(followers, window, window)
    assert len(world.asked) == 1
    assert followers.known([did(1)]).tolist() == [-1]
    world.now += UNKNOWN_AGE
    await world.settle(followers, window)
    assert followers.known([did(1)]).tolist() == [10]


async def test_it_waits_as_long_as_the_server_says(world: World, followers: Followers) -> None:
    world.acts = [fails(AskError("rate_limited", 120.0)), lambda dids: Reply(dict.fromkeys(dids, 1), 77.0)]
    await world.settle(followers, snapshot({did(1): 5}))
    assert world.slept[:2] == [120.0, 77.0]
    assert followers.stats.pauses == 2
    assert followers.stats.failures == {"rate_limited": 1}


async def test_it_waits_ever_longer_while_the_server_fails_and_loses_nobody(world: World, followers: Followers) -> None:
    world.acts = [fails(AskError("server_error"))] * 11
    await world.settle(followers, snapshot({did(1): 5, did(2): 6}))
    assert world.slept[:4] == [1.0, 2.0, 4.0, 8.0]
    assert world.slept[10] == LONGEST_BACKOFF
    assert world.slept[11] == 0.5
    assert followers.known([did(1), did(2)]).tolist() == [10, 10]


async def test_one_account_that_the_server_cannot_read_does_not_cost_the_others_theirs(
    world: World, followers: Followers
) -> None:
    bad = did(17)

    def strict(dids: list[str]) -> Reply:
        if bad in dids:
            raise AskError("refused")
        return Reply(dict.fromkeys(dids, 10))

    world.acts = [strict] * 100
    window = snapshot({did(number): number for number in range(50)})
    await world.settle(followers, window)
    assert followers.known(window.agents).tolist() == [-1 if agent == bad else 10 for agent in window.agents]
    assert len(world.asked) < 20


async def test_the_erased_are_forgotten_at_once_even_while_they_are_asked_for(
    world: World, followers: Followers, cache: Cache, tmp_path: Path
) -> None:
    window = snapshot({did(1): 1, did(2): 2})
    await world.settle(followers, window)
    await followers.note(snapshot({did(1): 1}, erased=[did(2)]))
    assert followers.known([did(1), did(2)]).tolist() == [10, -1]
    assert did(2).encode() not in (tmp_path / "followers.db").read_bytes()

    under_way, answer = asyncio.Event(), asyncio.Event()

    async def slow(dids: Sequence[str]) -> Reply:
        under_way.set()
        await answer.wait()
        return Reply(dict.fromkeys(dids, 99))

    followers._ask = slow
    stop = asyncio.Event()
    running = asyncio.ensure_future(followers.run(stop))
    await followers.note(snapshot({did(3): 1, did(4): 1}))
    await under_way.wait()
    await followers.note(snapshot({did(3): 1}, erased=[did(4)]))
    answer.set()
    while did(3) not in cache.answers:  # noqa: ASYNC110 - it is looked at from outside
        await asyncio.sleep(0.001)
    stop.set()
    await running
    assert followers.known([did(3), did(4)]).tolist() == [99, -1]


async def test_a_stop_gives_up_a_request_under_way(followers: Followers) -> None:
    under_way = asyncio.Event()

    async def never(_dids: Sequence[str]) -> Reply:
        under_way.set()
        await asyncio.Event().wait()
        raise AssertionError

    followers._ask = never
    stop = asyncio.Event()
    await followers.note(snapshot({did(1): 1}))
    running = asyncio.ensure_future(followers.run(stop))
    await under_way.wait()
    stop.set()
    await running


async def test_a_cache_that_fails_ends_it_with_a_sentence(followers: Followers, cache: Cache) -> None:
    await cache.on_thread(cache._connection.execute, "DROP TABLE followers")
    await followers.note(snapshot({did(1): 1}))
    with pytest.raises(FollowersError, match=r"^The cache of followers .* failed \(no such table.*\): see"):
        await followers.run(asyncio.Event())


async def test_answers_outlive_the_process_and_are_bounded_in_number_and_age(world: World, tmp_path: Path) -> None:
    path = tmp_path / "kept" / "followers.db"
    async with Cache(path, rows=30) as cache:
        followers = keeper(cache, world)
        await world.settle(followers, snapshot({did(number): number for number in range(25)}))
        world.now += 60
        await world.settle(followers, snapshot({did(number): number for number in range(100, 125)}))
        assert len(cache.answers) == 30
    async with Cache(path, rows=30) as cache:
        again = keeper(cache, world)
        assert again.known([did(number) for number in range(100, 125)]).tolist() == [10] * 25
        assert len(cache.answers) == 30
        world.now += 3 * DAY
        await world.settle(again, snapshot({did(7): 1}))
        assert list(cache.answers) == [did(7)]
    async with Cache(path, rows=30) as cache:
        assert list(cache.answers) == [did(7)]


async def test_no_more_are_planned_than_there_is_room_for(world: World, tmp_path: Path) -> None:
    async with Cache(tmp_path / "small.db", rows=30) as cache:
        await world.settle(keeper(cache, world), snapshot({did(number): number for number in range(100)}))
    assert sorted(agent for batch in world.asked for agent in batch) == [did(number) for number in range(70, 100)]


@pytest.mark.parametrize("content", [b"this is no database, but a text that somebody wrote\n" * 50, None])
async def test_a_file_of_another_kind_is_refused_and_left_as_it_was(tmp_path: Path, content: bytes | None) -> None:
    import sqlite3

    path = tmp_path / "other.db"
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE treasure (x)")
        connection.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(FollowersError, match=r"other\.db failed \(.*\): see .* move it away or set followers\.path\.$"):
        async with Cache(path, rows=10):
            pass
    assert path.read_bytes() == before
