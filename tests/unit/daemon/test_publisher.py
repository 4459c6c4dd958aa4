from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.log import Entry, LogError, Topic
from consumers.log.sqlite import SqliteLog
from daemon.runs.attributions import Attributions
from daemon.runs.publisher import Policy, Publisher, carriers
from daemon.runs.recall import Published

TOPIC = "t.attributions.v1"
MASSES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=20)


def table(names: str, polarization: list[float], **others: list[float]) -> Attributions:
    phi = {("polarization", "neutral"): np.array(polarization)}
    phi |= {(name, "neutral"): np.array(values) for name, values in others.items()}
    size = len(names)
    return Attributions(list(names), phi, np.zeros(size, np.uint8), np.zeros(size, np.int64))


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
async def log() -> AsyncIterator[SqliteLog]:
    async with SqliteLog(":memory:") as opened:
        await opened.ensure([Topic(TOPIC, partitions=1, retention_ms=3_600_000, cleanup="compact,delete")])
        yield opened


async def written(log: SqliteLog) -> list[tuple[str, str | None]]:
    """Return (agent, run or None for a tombstone), in the order of the log."""
    reader = await log.reader(TOPIC, await log.begin_offsets(TOPIC))
    seen = []
    for chunk in await reader.poll(max_records=1000, wait=0.01):
        for key, value in zip(chunk.keys, chunk.values, strict=True):
            assert key is not None
            seen.append((key.decode(), orjson.loads(value)["run"] if value else None))
    await reader.close()
    return seen


@pytest.mark.parametrize(("text", "rows"), [("all", [0, 1, 2, 3]), ("top:1", [1, 3]), ("mass:0.6", [1, 2, 3])])
def test_a_policy_is_the_union_over_indicators(text: str, rows: list[int]) -> None:
    board = table("abcd", [0.0, -5.0, 4.0, 1.0], cascade=[0.0, 0.0, 1.0, 9.0])
    policy = Policy.parse(text)
    assert policy.rows(board).tolist() == rows
    assert str(policy) == text


@pytest.mark.parametrize("text", ["", "none", "top", "top:0", "top:1.5", "mass:0", "mass:1.1", "mass:x", "all:3"])
def test_what_is_no_policy_gets_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="no publishing policy"):
        Policy.parse(text)


@given(MASSES, st.floats(0.01, 1.0))
def test_carriers_are_the_fewest_that_carry_the_mass(phi: list[float], mass: float) -> None:
    sizes = sorted((abs(value) for value in phi), reverse=True)
    count = carriers(np.array(phi), mass)
    assert sum(sizes[:count]) >= mass * sum(sizes) * (1 - 1e-12)
    assert count == 0 or sum(sizes[: count - 1]) < mass * sum(sizes)


async def test_all_agents_are_written_and_counted(log: SqliteLog, executor: ThreadPoolExecutor) -> None:
    publisher = Publisher(log, TOPIC, Policy(), executor, chunk=2)
    done = await publisher.publish(table("abcde", [1.0, 2.0, 3.0, 4.0, 5.0]), "r1", "all", ())
    assert (done.attributions, done.tombstones) == (5, 0)
    assert await written(log) == [(name, "r1") for name in "abcde"]


async def test_who_left_and_who_was_erased_get_tombstones(log: SqliteLog, executor: ThreadPoolExecutor) -> None:
    publisher = Publisher(log, TOPIC, Policy(), executor)
    await publisher.publish(table("abc", [1.0, 2.0, 3.0]), "r1", "all", ())
    done = await publisher.publish(table("bd", [1.0, 2.0]), "r2", "all", ["d", "z"])
    assert (done.attributions, done.tombstones) == (2, 3)
    assert (await written(log))[3:] == [("b", "r2"), ("d", "r2"), ("a", None), ("c", None), ("z", None)]


async def test_an_empty_run_writes_tombstones_only(log: SqliteLog, executor: ThreadPoolExecutor) -> None:
    publisher = Publisher(log, TOPIC, Policy(), executor)
    await publisher.publish(table("a", [1.0]), "r1", "all", ())
    done = await publisher.publish(table("", []), "r2", "all", ())
    assert (done.attributions, done.tombstones) == (0, 1)


class FailingLog(SqliteLog):
    """A log that refuses one append."""

    refuse_at = 2

    async def append(self, topic: str, entries: list[Entry]) -> None:  # type: ignore[override]
        self.refuse_at -= 1
        if self.refuse_at == 0:
            raise LogError("The log is full.")
        await super().append(topic, entries)


async def test_a_run_cut_short_is_written_again_with_the_same_tombstones(executor: ThreadPoolExecutor) -> None:
    async with FailingLog(":memory:") as log:
        await log.ensure([Topic(TOPIC, partitions=1, retention_ms=3_600_000, cleanup="compact,delete")])
        publisher = Publisher(log, TOPIC, Policy(), executor)
        publisher.published = Published(["x"], np.zeros(1, np.int64))
        with pytest.raises(LogError):
            await publisher.publish(table("a", [1.0]), "r1", "all", ())
        assert publisher.published.names == ["x"]
        done = await publisher.publish(table("a", [1.0]), "r1", "all", ())
        assert (done.attributions, done.tombstones) == (1, 1)
        assert await written(log) == [("a", "r1"), ("a", "r1"), ("x", None)]
