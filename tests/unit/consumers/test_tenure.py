"""Two bridges at one source: the one that began last counts, what the other wrote after that does not, none is lost."""

import asyncio
from collections import Counter
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.bridge.bridge import Bridge
from consumers.bridge.cursors import CursorFile
from consumers.bridge.identity import read_event
from consumers.bridge.retrying import held_of
from consumers.bridge.tenure import SupersededError, Tenure, ids_of, read_claim
from consumers.events import Event
from consumers.gaps import gap_record
from consumers.log import Entry, Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.sources import Delivery, Gap
from consumers.windows.group import Windows
from consumers.windows.shape import FOREVER, SECOND, Shape
from tests.unit.consumers.factories import START, event

TOPICS = Topics()
PARTITIONS = 3
JETSTREAM = "jetstream1:host"
SHAPE = Shape(length=12 * SECOND, bucket=SECOND, lateness=0)


class Silent:
    """A source of which only the name is asked: the tests deliver."""

    def __init__(self, name: str = JETSTREAM) -> None:
        self.name = name

    async def deliveries(self, _cursor: int | None):
        return
        yield


async def opened(log: SqliteLog) -> SqliteLog:
    await log.ensure([Topic(TOPICS.events, PARTITIONS, 10**12), Topic(TOPICS.deadletters, 1, 10**12)])
    return log


def bridge(log: SqliteLog, directory, name: str = JETSTREAM, now: int = START) -> Bridge:
    return Bridge(Silent(name), log, TOPICS, PARTITIONS, directory, now=lambda: now)


def like(number: int, src: str = JETSTREAM) -> Event:
    """The same event, whoever delivers it."""
    return event(
        f"a{number % 7}", at=number, src=src, seq=START + number * SECOND, rev=f"r{number}", uri=f"at://{number}"
    )


def delivery(number: int) -> Delivery:
    return Delivery(cursor=START + number * SECOND, frames=1, operations=1, accepted=1, events=[like(number)])


async def counted(log: SqliteLog) -> tuple[Counter[str], Windows]:
    """Return how often each agent's likes were counted by a fold of the whole log."""
    windows = Windows(Shape(length=12_000 * SECOND, bucket=1_000 * SECOND, lateness=0), range(PARTITIONS))
    windows.begin(START)
    reader = await log.reader(TOPICS.events, await log.begin_offsets(TOPICS.events))
    while chunks := await reader.poll(wait=0):
        for chunk in chunks:
            assert windows.fold(chunk.partition, list(chunk.values), 0, ceiling=0) == len(chunk.values)
    windows.close(FOREVER)
    snapshot = windows.close(FOREVER)
    found = {} if snapshot is None else dict(zip(snapshot.agents, snapshot.current[4].tolist(), strict=True))
    return Counter(found), windows


def test_an_ordered_list_of_hosts_is_claimed_host_by_host_and_a_file_as_one() -> None:
    both = "relay:one.example,two.example"
    assert ids_of(both) == [both, "relay:one.example", "relay:two.example"]
    assert ids_of("sim:1") == ["sim:1"]
    assert ids_of("relay:file:one,two.bin") == ["relay:file:one,two.bin"]


@pytest.mark.parametrize(
    "record", [{"src": "relay:one", "epoch": 1}, {"src": [], "epoch": "1"}, {"src": [1], "epoch": 1}]
)
def test_a_claim_that_is_none_is_refused(record) -> None:
    with pytest.raises(ValueError, match="claim"):
        read_claim(record)


@pytest.mark.parametrize("partitions", [1, 2, 5])
async def test_a_claim_is_in_every_partition_and_names_all_that_its_source_writes_under(partitions: int) -> None:
    async with SqliteLog(":memory:") as log:
        await log.ensure([Topic(TOPICS.events, partitions, 10**12)])
        tenure = Tenure(log, TOPICS.events, partitions, "relay:one,two")
        await tenure.claim(5)
        reader = await log.reader(TOPICS.events, await log.begin_offsets(TOPICS.events))
        chunks = await reader.poll()
        assert sorted(chunk.partition for chunk in chunks) == list(range(partitions))
        records = [orjson.loads(value) for chunk in chunks for value in chunk.values]
        claim = {"v": 1, "kind": "bridge", "src": tenure.srcs, "epoch": 5, "holder": tenure.holder}
        assert records == [claim] * partitions
        assert read_claim(records[0]) == (["relay:one,two", "relay:one", "relay:two"], 5)


@pytest.mark.parametrize(
    ("src", "epoch", "superseded"),
    [("relay:one", 6, True), ("relay:two", 5, True), ("relay:one", 4, False), ("relay:three", 9, False)],
)
async def test_a_claim_ends_the_turns_before_it_at_any_of_its_hosts_and_no_other(src, epoch, superseded) -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        await log.append(TOPICS.events, [Entry(b"bridge", claim(9, "relay:one"), 0)])
        tenure = Tenure(log, TOPICS.events, PARTITIONS, "relay:one,two")
        await tenure.check()
        await tenure.claim(5)
        await log.append(TOPICS.events, [Entry(b"a", like(number).encode(), 0) for number in range(12_000)])
        await log.append(TOPICS.events, [Entry(b"a", None, 0), Entry(b"bridge", claim(epoch, src), 0)])
        await log.append(TOPICS.events, [Entry(b"bridge", claim(9, "relay:one"), 1)])
        if superseded:
            with pytest.raises(SupersededError):
                await tenure.check()
        else:
            await tenure.check()
        await tenure.close()


async def test_one_who_claims_again_sees_who_came_between() -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        tenure = Tenure(log, TOPICS.events, PARTITIONS, "relay:one")
        await tenure.claim(5)
        await log.append(TOPICS.events, [Entry(b"bridge", claim(8, "relay:one"), 0)])
        await tenure.claim(7)
        with pytest.raises(SupersededError):
            await tenure.check()
        await tenure.close()


def claim(epoch: int, src: str = JETSTREAM) -> bytes:
    return orjson.dumps({"v": 1, "kind": "bridge", "src": [src], "epoch": epoch, "holder": "x"})


def folded(values: list[bytes]) -> Windows:
    windows = Windows(SHAPE, [0])
    windows.begin(START)
    windows.fold(0, list(values), 0)
    return windows


def stamped(number: int, epoch: int, src: str = JETSTREAM) -> bytes:
    told = like(number, src)
    told.t, told.epoch = START, epoch
    return told.encode()


def test_after_a_claim_what_an_older_turn_wrote_is_dropped_and_what_it_wrote_before_stands() -> None:
    windows = folded([claim(5), stamped(1, 5), claim(7), stamped(2, 5), stamped(2, 7), stamped(3, 0)])
    assert (windows.stats.events, windows.stats.superseded) == (2, 2)


def test_a_claim_older_than_the_newest_changes_nothing_nor_does_one_of_another_source() -> None:
    windows = folded([claim(7), claim(5), claim(9, "jetstream1:other"), stamped(2, 5), stamped(1, 7)])
    assert (windows.stats.events, windows.stats.superseded) == (1, 1)


def test_a_claim_of_another_source_changes_nothing_for_one_that_nobody_claimed() -> None:
    windows = folded([stamped(1, 0), claim(9, "jetstream1:other"), stamped(2, 0)])
    assert (windows.stats.events, windows.stats.malformed) == (2, 0)


def test_a_claim_that_retention_took_is_told_by_the_events_after_it() -> None:
    windows = folded([stamped(1, 7), stamped(2, 5)])
    assert (windows.stats.events, windows.stats.superseded) == (1, 1)


def test_a_dropped_event_moves_no_mark_so_that_it_counts_when_its_turn_comes() -> None:
    relay = "relay:host"
    windows = folded([claim(7, relay), stamped(9, 5, relay), stamped(1, 7, relay), stamped(9, 7, relay)])
    assert (windows.stats.events, windows.stats.superseded, windows.stats.duplicates) == (2, 1, 0)


def test_what_is_a_gap_to_a_bridge_whose_turn_is_over_is_none() -> None:
    gaps = [orjson.dumps(gap_record(JETSTREAM, Gap(START, START + end, "outdated_cursor"), end)) for end in (5, 7)]
    assert {gap.end - START for gap in folded([claim(7), *gaps]).gaps.known} == {7}


def test_turns_are_kept_over_a_checkpoint() -> None:
    windows = folded([claim(7), stamped(1, 7)])
    again = Windows.load(SHAPE, *windows.dump())
    again.fold(0, [stamped(2, 5)], 0)
    assert (again.stats.events, again.stats.superseded) == (0, 1)


def test_a_claim_that_cannot_be_read_is_malformed_and_the_stream_goes_on() -> None:
    windows = folded([b'{"v":1,"kind":"bridge","src":7}', stamped(1, 7)])
    assert (windows.stats.events, windows.stats.malformed) == (1, 1)


async def test_a_bridge_that_another_has_followed_saves_no_place_and_ends(tmp_path) -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        old, new = bridge(log, tmp_path / "old"), bridge(log, tmp_path / "new")
        await old.restore()
        await old.deliver([delivery(1)])
        await old.save()
        await new.restore()
        await old.deliver([delivery(2)])
        with pytest.raises(SupersededError, match="Another bridge"):
            await old.save()
        assert CursorFile(tmp_path / "old", JETSTREAM).load().cursor == START + SECOND


async def test_a_bridge_of_another_source_is_no_rival(tmp_path) -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        one, other = bridge(log, tmp_path / "one"), bridge(log, tmp_path / "other", "sim:1")
        await one.restore()
        await other.restore()
        await one.deliver([delivery(1)])
        await one.save()
        assert one.stats.saves == 1


async def test_two_bridges_that_choose_the_same_epoch_are_told_apart(tmp_path) -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        first, second = bridge(log, tmp_path / "1"), bridge(log, tmp_path / "2")
        await first.restore()
        await second.restore()
        assert second._tenure.epoch > first._tenure.epoch


async def test_a_bridge_whose_clock_is_behind_still_follows_the_one_before(tmp_path) -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        first, second = bridge(log, tmp_path / "1"), bridge(log, tmp_path / "2", now=START - 10**12)
        await first.restore()
        await first.deliver([delivery(1)])
        await second.restore()
        assert second._tenure.epoch > first._tenure.epoch


async def test_a_claim_that_reached_one_partition_only_ends_the_bridge_before_too(tmp_path) -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        old = bridge(log, tmp_path)
        await old.restore()
        await log.append(TOPICS.events, [Entry(b"bridge", claim(old._tenure.epoch + 1), 0)])
        await old.deliver([delivery(1)])
        with pytest.raises(SupersededError):
            await old.save()
        again = bridge(log, tmp_path)
        await again.restore()
        await again.deliver([delivery(1)])
        counts, _ = await counted(log)
        assert counts == {"a1": 1}


async def test_a_place_left_long_ago_is_passed_over_where_another_bridge_went_on_from_there(tmp_path) -> None:
    """Repeats are told for twenty minutes: a bridge that comes back after two hours must not read them again."""
    hours = range(0, 7_200, 20)
    async with SqliteLog(":memory:") as log:
        await opened(log)
        old = bridge(log, tmp_path / "old")
        await old.restore()
        await old.deliver([delivery(0)])
        await old.save()
        other = bridge(log, tmp_path / "other")
        await other.restore()
        for number in hours:
            await other.deliver([delivery(number)])
        await other.save()
        again = bridge(log, tmp_path / "old")
        await again.restore()
        assert again.stats.cursor is not None
        assert again.stats.cursor > START + 7_000 * SECOND


def place(made: Bridge) -> int:
    """The number of the last event up to a bridge's cursor."""
    return max(0, ((made.stats.cursor or START) - START) // SECOND)


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["deliver", "save", "restart"])), max_size=30))
def test_however_two_bridges_take_turns_each_event_counts_once(tmp_path_factory, steps) -> None:
    """Each of two bridges goes on when it is its step; one that is superseded begins again from its place."""
    directory = tmp_path_factory.mktemp("state")
    total = 12

    async def live() -> None:
        async with SqliteLog(":memory:") as log:
            await opened(log)
            bridges: list[Bridge | None] = [None, None]

            async def begin(which: int) -> Bridge:
                made = bridge(log, directory / str(which))
                await made.restore()
                bridges[which] = made
                return made

            async def go_on(made: Bridge) -> None:
                if place(made) < total:
                    await made.deliver([delivery(place(made) + 1)])

            for which, step in steps:
                current = bridges[which] or await begin(which)
                if step == "deliver":
                    await go_on(current)
                elif step == "restart":
                    await begin(which)
                else:
                    try:
                        await current.save()
                    except SupersededError:
                        bridges[which] = None
            last = await begin(0)
            while place(last) < total:
                await go_on(last)
            counts, _ = await counted(log)
            assert counts == Counter(like(number).agent for number in range(1, total + 1))

    asyncio.run(live())


async def test_closing_leaves_nothing_to_look_at() -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        tenure = Tenure(log, TOPICS.events, PARTITIONS, JETSTREAM)
        await tenure.claim(5)
        await tenure.close()
        await log.append(TOPICS.events, [Entry(b"bridge", claim(8), 0)])
        await tenure.check()


def test_an_events_epoch_is_read_back_and_absent_where_nobody_claimed() -> None:
    one = like(1)
    assert b"epoch" not in one.encode()
    one.epoch = 8
    assert read_event(orjson.loads(one.encode())).epoch == 8


async def test_a_retry_does_not_take_for_held_what_a_superseded_bridge_wrote() -> None:
    """It does not count, so that it must be appended again."""
    async with SqliteLog(":memory:") as log:
        await opened(log)
        older, newer = (Tenure(log, TOPICS.events, PARTITIONS, JETSTREAM) for _ in range(2))
        await older.claim(1)
        await newer.claim(2)
        late, in_turn = replace(like(1), epoch=1), replace(like(2), epoch=2)
        await log.append(TOPICS.events, [Entry(one.agent.encode(), one.encode()) for one in (late, in_turn)])
        held = await held_of(log, TOPICS.events, {late.agent, in_turn.agent})
        assert [one.uri for one in held.lacking([late, in_turn])] == [late.uri]
        await older.close()
        await newer.close()
