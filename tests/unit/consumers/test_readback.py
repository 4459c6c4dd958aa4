"""The log's tail read back: what is in it is known, and where a source without a place may go on from it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from consumers.bridge.cursors import Waypoint
from consumers.bridge.identity import Memory
from consumers.bridge.readback import Tail, read_back
from consumers.bridge.tenure import CLAIM_KEY, Tenure, claim_record
from consumers.events import Event
from consumers.log import Entry, Topic
from consumers.log.sqlite import SqliteLog

TOPIC = "events"
PARTITIONS = 3
RELAY = "relay:one.example"
NOWHERE = Waypoint(0, {})


def tenure(log: SqliteLog, name: str = RELAY) -> Tenure:
    return Tenure(log, TOPIC, PARTITIONS, name)


def like(number: int, src: str = RELAY, epoch: int = 0) -> Event:
    return Event("a", "actor", "like", None, 1_000 + number, src, number, f"rev{number}", epoch=epoch)


def claimed(epoch: int, *srcs: str, holder: str = "other") -> bytes:
    return claim_record(list(srcs or (RELAY,)), epoch, holder)


@pytest.fixture
async def log():
    async with SqliteLog(":memory:") as log:
        await log.ensure([Topic(TOPIC, PARTITIONS, 10**12)])
        yield log


async def put(log: SqliteLog, partition: int, records: Sequence[Event | bytes | None]) -> None:
    values = [record.encode() if isinstance(record, Event) else record for record in records]
    await log.append(TOPIC, [Entry(CLAIM_KEY, value, partition) for value in values])


async def test_what_the_tail_holds_is_known_and_its_extent_told(log) -> None:
    await put(log, 0, [like(5), like(9), like(7)])
    await put(log, 2, [like(6), like(40, "jetstream1:x")])
    memory = Memory(10**9)
    tail = await read_back(log, TOPIC, NOWHERE, memory, tenure(log))
    assert (tail.events, tail.t, tail.partitions, tail.cut) == (5, 1_040, PARTITIONS, set())
    assert tail.seqs == {0: (5, 9), 2: (6, 6)}
    assert (tail.rival, tail.superseded) == (0, 0)
    assert len(memory) == 5
    assert not memory.note(like(7))
    assert memory.note(like(8))


async def test_it_is_read_from_a_place_on_and_a_place_beyond_the_log_reads_nothing(log) -> None:
    await put(log, 0, [like(1), like(2), like(3)])
    await put(log, 1, [like(4)])
    tail = await read_back(log, TOPIC, Waypoint(0, {0: 2, 1: 99}), Memory(10**9), tenure(log))
    assert tail.seqs == {0: (3, 3)}
    assert (tail.events, tail.cut) == (1, {0, 1})


async def test_more_than_is_read_at_once_is_read_to_the_end(log) -> None:
    await put(log, 0, [like(number) for number in range(12_000)])
    tail = await read_back(log, TOPIC, NOWHERE, Memory(10**9), tenure(log))
    assert (tail.events, tail.seqs) == (12_000, {0: (0, 11_999)})


async def test_what_cannot_be_read_is_passed_over(log) -> None:
    claim = b'{"v":1,"kind":"bridge","src":7,"epoch":1}'
    await put(log, 0, [None, b"", b"{", b"[]", b"5", b'{"kind":"gap"}', claim, like(1), b'{"kind":"like"}', like(2)])
    tail = await read_back(log, TOPIC, NOWHERE, Memory(10**9), tenure(log))
    assert (tail.events, tail.seqs) == (2, {0: (1, 2)})


async def test_what_came_after_a_newer_claim_is_not_there(log) -> None:
    await put(log, 0, [like(1, epoch=3), claimed(5), like(2, epoch=3), like(3, epoch=5), claimed(4), like(4, epoch=4)])
    await put(log, 1, [like(5, epoch=3)])
    memory = Memory(10**9)
    tail = await read_back(log, TOPIC, NOWHERE, memory, tenure(log))
    assert (tail.events, tail.superseded, tail.rival) == (3, 2, 5)
    assert [memory.note(like(number)) for number in (1, 2, 3, 4, 5)] == [False, True, False, True, False]
    assert tail.seqs == {0: (1, 3), 1: (5, 5)}


async def test_an_event_of_a_newer_turn_stands_for_the_claim_before_it(log) -> None:
    await put(log, 0, [like(1, epoch=5), like(2, epoch=3)])
    tail = await read_back(log, TOPIC, NOWHERE, Memory(10**9), tenure(log))
    assert (tail.events, tail.superseded, tail.rival) == (1, 1, 5)


async def test_beyond_a_place_only_events_of_its_turn_and_later_ones_count(log) -> None:
    await put(log, 0, [like(1, epoch=3), like(2, epoch=4), like(3, "jetstream1:x", epoch=1)])
    tail = await read_back(log, TOPIC, replace(NOWHERE, epoch=4), Memory(10**9), tenure(log))
    assert (tail.events, tail.superseded, tail.seqs) == (2, 1, {0: (2, 2)})


async def test_ones_own_claim_and_one_of_another_source_are_no_rivals(log) -> None:
    mine = tenure(log)
    await put(log, 0, [claimed(5, holder=mine.holder), claimed(9, "relay:other"), claimed(3, "relay:other", RELAY)])
    tail = await read_back(log, TOPIC, NOWHERE, Memory(10**9), mine)
    assert tail.rival == 3
    assert tail.epochs[0, RELAY] == 5


@pytest.mark.parametrize(
    ("seqs", "cut", "cursor"),
    [
        ({}, set(), None),
        ({0: (3, 9), 1: (4, 7)}, set(), 2),
        ({0: (3, 9), 1: (4, 7)}, {0}, 2),
        ({0: (3, 9), 1: (4, 7)}, {0, 1}, 3),
        ({0: (3, 9), 1: (4, 7)}, {2}, 2),
        ({0: (3, 9), 1: (4, 7), 2: (5, 8)}, set(), 6),
        ({0: (3, 9), 1: (4, 7), 2: (5, 8)}, {0, 1, 2}, 6),
        ({0: (1, 2), 1: (5, 9), 2: (3, 9)}, {1}, 4),
        ({0: (0, 0), 1: (0, 4), 2: (0, 4)}, set(), 0),
    ],
)
def test_a_lost_place_is_where_nothing_is_missed_and_all_that_comes_again_is_known(seqs, cut, cursor) -> None:
    relay = Tail(Tenure(SqliteLog(":memory:"), TOPIC, PARTITIONS, RELAY), partitions=PARTITIONS, seqs=seqs, cut=cut)
    assert relay.cursor() == cursor


@pytest.mark.parametrize(
    ("name", "cursor"), [("jetstream1:x", 4_000_000), ("jetstream2:x", 4_999_999), ("jetstream1:file:x", None)]
)
def test_a_time_steps_back_further_than_a_count_and_a_files_place_is_not_told_by_a_seq(name, cursor) -> None:
    held = Tenure(SqliteLog(":memory:"), TOPIC, 1, name)
    assert Tail(held, partitions=1, seqs={0: (5_000_000, 5_000_000)}).cursor() == cursor
