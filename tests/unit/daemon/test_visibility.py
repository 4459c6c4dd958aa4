"""How visible agents are: one scale for all, and the run says which."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.log import Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.snapshot import Coverage, Snapshot
from daemon.config.loading import load, parse_assignment
from daemon.errors import ConfigError
from daemon.runs.cycle import Cycle, Plan
from daemon.runs.visibility import Visibility, by_followers, by_received, placed
from daemon.service import building
from engine.columns import COLUMNS, INDEX
from tests.populations import names, population


def snapshot(received: list[int]) -> Snapshot:
    columns = np.zeros((len(COLUMNS), len(received)), np.int32)
    columns[INDEX["replies_in"]] = received
    columns[INDEX["posts"]] = 1_000
    return Snapshot("all", 0, 60, names(len(received)), columns, None, Coverage(1.0), Coverage(0.0), 60)


def seen(followers: list[int], received: list[int], least: float) -> Visibility:
    return by_followers(lambda _agents: np.array(followers, np.int64), least)(snapshot(received))


def test_without_followers_it_is_what_was_received() -> None:
    found = by_received(snapshot([3, 0, 5]))
    assert (found.values.tolist(), found.measure, found.known) == ([3, 0, 5], "received", 0)


def test_too_few_known_followers_are_counted_and_not_used() -> None:
    found = seen([100, -1, -1, -1], [3, 0, 5, 1], 0.5)
    assert (found.values.tolist(), found.measure, found.known) == ([3, 0, 5, 1], "received", 1)


def test_enough_known_followers_are_the_measure_and_the_others_are_placed_among_them() -> None:
    found = seen([100, 20_000, -1, 7], [3, 9, 5, 0], 0.75)
    assert (found.values.tolist(), found.measure, found.known) == ([100, 20_000, 20_000, 7], "followers", 3)


def test_nobody_at_all_is_measured_by_what_was_received() -> None:
    found = seen([], [], 0.9)
    assert (found.values.tolist(), found.measure) == ([], "received")
    assert seen([-1], [4], 0.01).measure == "received"


def test_of_the_many_who_received_nothing_an_unknown_one_is_in_the_middle() -> None:
    assert placed(np.array([0, 10, 20, 30, 9_000, -1]), np.array([0, 0, 0, 0, 7, 0])).tolist()[-1] == 20


counts = st.lists(st.tuples(st.integers(-1, 50), st.integers(0, 20)), min_size=1, max_size=40)


@given(counts.filter(lambda rows: any(followers >= 0 for followers, _ in rows)))
def test_the_known_keep_their_followers_and_the_unknown_their_order(rows: list[tuple[int, int]]) -> None:
    followers, received = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    values, known = placed(followers, received), followers >= 0
    assert values[known].tolist() == followers[known].tolist()
    assert set(values[~known]) <= set(followers[known])
    order = np.argsort(received[~known], kind="stable")
    assert np.all(np.diff(values[~known][order]) >= 0)


async def test_the_run_says_the_measure_and_its_tiers_follow_it() -> None:
    topics, agents = Topics("t"), names(300)
    rng = np.random.default_rng(5)
    followers = rng.permutation(300).astype(np.int64) * 1_000
    window = Snapshot("all", 0, 60, agents, population(300, 1), None, Coverage(1.0), Coverage(0.0), 60)
    async with SqliteLog(":memory:") as log:
        await log.ensure([Topic(topics.attributions, 1, 60_000, "compact,delete"), Topic(topics.runs, 1, 60_000)])
        cycle = Cycle(
            log,
            topics,
            Plan(("attention",), device="cpu", panels=(20,)),
            seen=by_followers(lambda asked: followers[: len(asked)], 0.9),
        )
        try:
            record = await cycle(window)
        finally:
            cycle.close()
        assert cycle.latest.results is not None
        table = cycle.latest.results.attributions
    assert record.visibility.model_dump() == {"measure": "followers", "known": 300}
    assert table.visibility.tolist() == followers.tolist()
    assert set(np.flatnonzero(table.tiers == 0)) == set(np.argsort(-followers)[:3])


def test_the_run_id_tells_tiers_by_followers_from_others() -> None:
    def settings(*given: str) -> dict[str, object]:
        return building.settings_of(load(None, {}, [parse_assignment(one) for one in given]).config)

    assert "followers" not in settings("followers.coverage=0.5")
    assert settings("followers.enabled=true")["followers"] == 0.9
    assert settings("followers.enabled=true", "followers.coverage=0.5")["followers"] == 0.5


def test_the_cache_is_in_the_state_directory_unless_told() -> None:
    assert load(None, {}, [parse_assignment("state_dir=/var/x")]).config.followers_path == Path("/var/x/followers.db")
    assert load(None, {}, [parse_assignment("followers.path=/y.db")]).config.followers_path == Path("/y.db")


def test_a_number_of_followers_is_not_published_beside_a_pseudonym() -> None:
    given = ("followers.enabled=true", "publish.pseudonyms=true", f"publish.pseudonym_key={'0123456789abcdef' * 2}")
    with pytest.raises(ConfigError, match=r"^--set publish\.pseudonyms and --set followers\.enabled: records would"):
        load(None, {}, [parse_assignment(one) for one in given])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("followers.service=ftp://host", "followers.service: string should match pattern"),
        ("followers.service=https://host/xrpc", "followers.service: string should match pattern"),
        ("followers.rate=0", "followers.rate: should be greater than 0"),
        ("followers.max_age=1s", "followers.max_age: should be at least 1m, not 1s"),
        ("followers.coverage=1.5", "followers.coverage: should be less than or equal to 1"),
        ("followers.rows=10", "followers.rows: should be greater than or equal to 1000"),
        ("followers.enable=true", "did you mean enabled?"),
    ],
)
def test_what_cannot_be_is_refused(given: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(None, {}, [parse_assignment(given)])
    assert said.lower() in str(refused.value).lower()
