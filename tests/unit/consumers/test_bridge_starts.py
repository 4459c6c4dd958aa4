"""Where a bridge begins: from its place, else from the log's tail, else from now, and it says what was missed."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from consumers.bridge import readback
from consumers.bridge.bridge import Bridge
from consumers.bridge.cursors import CursorFile
from consumers.bridge.identity import HORIZON, Memory
from consumers.bridge.place import StateError
from consumers.events import Event
from consumers.log import Entry, Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.sources import Delivery, Gap

TOPICS = Topics()
PARTITIONS = 3
START = 1_700_000_000_000_000
RELAY = "relay:test"


class Named:
    """A source of which only the name is asked."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def deliveries(self, _cursor: int | None):
        return
        yield


@pytest.fixture
async def log():
    async with SqliteLog(":memory:") as log:
        await log.ensure([Topic(TOPICS.events, PARTITIONS, 10**12), Topic(TOPICS.deadletters, 1, 10**12)])
        yield log


def like(number: int, src: str = RELAY) -> Event:
    return Event("a", "actor", "like", None, START + number, src, number, f"rev{number}")


def delivery(number: int, src: str = RELAY) -> Delivery:
    return Delivery(cursor=number, events=[like(number, src)])


async def began(
    log: SqliteLog, directory: Path | None = None, name: str = RELAY, memory: Memory | None = None
) -> Bridge:
    made = Bridge(Named(name), log, TOPICS, PARTITIONS, directory, now=lambda: START, memory=memory)
    await made.restore()
    return made


async def gaps(log: SqliteLog) -> list[tuple[int, int, str]]:
    """The gaps in partition 0."""
    reader = await log.reader(TOPICS.events, {0: 0})
    records = [orjson.loads(value) for chunk in await reader.poll(wait=0) for value in chunk.values]
    return [(one["start"] - START, one["end"] - START, one["cause"]) for one in records if one["kind"] == "gap"]


async def test_a_new_source_and_an_empty_log_begin_now_and_nothing_was_missed(log) -> None:
    made = await began(log)
    assert (made.stats.cursor, made.stats.t) == (None, None)
    await made.deliver([delivery(5)])
    assert await gaps(log) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("relay:new", 1),
        ("relay:new.example:8443", 1),
        ("jetstream1:new", 1),
        ("jetstream2:new", 1),
        ("sim:new", 0),
        ("relay:file:new.bin", 0),
    ],
)
async def test_only_a_live_source_that_is_new_says_the_time_before_it_and_says_it_once(log, name, said) -> None:
    await (await began(log, name="sim:1")).deliver([delivery(5, "sim:1")])
    made = await began(log, name=name)
    for number in (9, 30):
        await made.deliver([Delivery(cursor=1), delivery(number, name)])
    assert await gaps(log) == [(5, 9, "downtime")] * said


async def test_no_time_is_missed_where_the_new_source_reaches_back_to_the_logs_end(log) -> None:
    await (await began(log, name="sim:1")).deliver([delivery(5, "sim:1")])
    made = await began(log, name="relay:new")
    await made.deliver([replace(delivery(5, "relay:new"), cursor=7)])
    await made.deliver([delivery(9, "relay:new")])
    assert await gaps(log) == []


async def test_a_gap_of_unknown_start_begins_at_the_logs_end_where_that_is_before_its_own(log) -> None:
    made = await began(log)
    await made.deliver([Delivery(gaps=[Gap(0, START + 3, "x")])])
    await made.deliver([delivery(5)])
    later = [Gap(0, START + 8, "y"), Gap(0, START + 4, "z"), Gap(START + 6, START + 7, "k")]
    await made.deliver([Delivery(gaps=later)])
    assert await gaps(log) == [(-START, 3, "x"), (5, 8, "y"), (4, 4, "z"), (6, 7, "k")]


async def test_a_bridge_goes_on_from_its_place_and_from_the_greatest_time_of_file_and_log(log, tmp_path: Path) -> None:
    first = await began(log, tmp_path)
    await first.deliver([delivery(9), replace(delivery(4), cursor=12)])
    await first.save()
    again = await began(log, tmp_path)
    assert (again.stats.cursor, again.stats.t) == (12, START + 9)
    async with SqliteLog(":memory:") as other:
        await other.ensure([Topic(TOPICS.events, PARTITIONS, 10**12), Topic(TOPICS.deadletters, 1, 10**12)])
        moved = await began(other, tmp_path)
        assert (moved.stats.cursor, moved.stats.t) == (12, START + 9)
    await (await began(log, name="sim:1")).deliver([delivery(70, "sim:1")])
    assert (await began(log, tmp_path)).stats.t == START + 70


async def test_a_place_is_saved_again_only_when_it_has_moved(log, tmp_path: Path) -> None:
    made = await began(log, tmp_path)
    await made.save()
    assert (made.stats.saves, CursorFile(tmp_path, RELAY).load()) == (0, None)
    await made.deliver([delivery(5)])
    for _ in range(2):
        await made.save()
    assert made.stats.saves == 1
    again = await began(log, tmp_path)
    await again.save()
    assert again.stats.saves == 0
    nowhere = await began(log)
    await nowhere.deliver([delivery(6)])
    await nowhere.save()
    assert nowhere.stats.saves == 0


async def test_a_place_that_cannot_be_saved_ends_the_bridge_with_a_sentence(log, tmp_path: Path) -> None:
    made = await began(log, tmp_path / "state")
    await made.deliver([delivery(5)])
    (tmp_path / "state").write_bytes(b"in the way")
    with pytest.raises(StateError, match=r"cannot be saved in .*state.*: make room"):
        await made.save()


async def test_without_a_place_only_the_tail_of_each_partition_is_read_back(log, monkeypatch) -> None:
    monkeypatch.setattr(readback, "TAIL", 5)
    for partition in range(PARTITIONS):
        events = [like(100 * partition + number) for number in range(20 - 9 * partition)]
        await log.append(TOPICS.events, [Entry(b"a", one.encode(), partition) for one in events])
    memory = Memory(HORIZON)
    made = await began(log, memory=memory)
    assert len(memory) == 5 + 5 + 2
    assert [memory.note(like(number)) for number in (14, 15, 105, 106, 200, 201)] == [True, False] * 2 + [False] * 2
    assert made.stats.cursor == 105


async def test_a_place_is_read_back_from_where_the_log_was_a_horizon_ago(log, tmp_path: Path) -> None:
    made = await began(log, tmp_path)
    for number in (0, HORIZON, 2 * HORIZON, 3 * HORIZON):
        await made.deliver([delivery(number)])
        await made.save()
    memory = Memory(HORIZON)
    await began(log, tmp_path, memory=memory)
    assert [memory.note(like(number * HORIZON)) for number in range(4)] == [True, True, True, False]
