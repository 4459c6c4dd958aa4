"""What every log promises, asked of each: the embedded one and a real Kafka."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.log import MAX_RECORD_BYTES, Chunk, Cleanup, Entry, Log, LogError, Reader, Topic, partition_of
from consumers.log.kafka import KafkaLog
from consumers.log.kafka_options import KafkaOptions
from consumers.log.sqlite import SqliteLog

PARTITIONS = 4
DAY_MS = 86_400_000


class OpenLog(Protocol):
    """Opens the same log each time it is called."""

    def __call__(self) -> Log: ...


DURABLE = ["sqlite-file", pytest.param("kafka", marks=pytest.mark.kafka)]


@pytest.fixture(params=[*DURABLE, "sqlite-memory"])
def kind(request):
    return request.param


class Clock:
    """Unix seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def open_log(kind, request, tmp_path, clock) -> OpenLog:
    if kind == "kafka":
        broker = request.getfixturevalue("kafka")
        return lambda: KafkaLog(KafkaOptions(broker.bootstrap))
    return lambda: SqliteLog(tmp_path / "log.db" if kind == "sqlite-file" else ":memory:", clock=clock)


@pytest.fixture
async def log(open_log):
    async with open_log() as opened:
        yield opened


@pytest.fixture
async def topic(log) -> str:
    return await new_topic(log)


async def new_topic(log: Log, partitions: int = PARTITIONS, cleanup: Cleanup = "delete") -> str:
    name = f"contract-{uuid4().hex[:12]}"
    await log.ensure([Topic(name, partitions, DAY_MS, cleanup)])
    return name


def entries(numbers: Iterable[int], keys: int = 50) -> list[Entry]:
    return [Entry(b"agent-%d" % (n % keys), b"value-%d" % n) for n in numbers]


async def read_all(reader: Reader, count: int, max_records: int = 10_000) -> list[Chunk]:
    """Poll until `count` records have come; a log that never gives them fails by the limit on idle polls."""
    chunks: list[Chunk] = []
    idle = 0
    while sum(len(chunk.offsets) for chunk in chunks) < count:
        polled = await reader.poll(max_records=max_records, wait=1.0)
        assert sum(len(chunk.offsets) for chunk in polled) <= max_records
        idle = 0 if polled else idle + 1
        assert idle < 10, "the records never came"
        chunks += polled
    return chunks


def by_partition(chunks: Iterable[Chunk]) -> dict[int, list[tuple[int, bytes | None, bytes | None]]]:
    held = defaultdict(list)
    for chunk in chunks:
        held[chunk.partition] += zip(chunk.offsets, chunk.keys, chunk.values, strict=True)
    return dict(held)


def expected(written: Iterable[Entry], partitions: int = PARTITIONS) -> dict[int, list]:
    held = defaultdict(list)
    for entry in written:
        partition = partition_of(entry.key, partitions) if entry.partition is None else entry.partition
        held[partition].append((len(held[partition]), entry.key, entry.value))
    return dict(held)


async def all_of(log: Log, topic: str, count: int, partitions: int = PARTITIONS) -> dict[int, list]:
    reader = await log.reader(topic, dict.fromkeys(range(partitions), 0))
    try:
        return by_partition(await read_all(reader, count))
    finally:
        await reader.close()


async def test_records_keep_their_order_and_their_key_s_partition(log, topic):
    written = entries(range(1_000))
    for start in range(0, 1_000, 130):
        await log.append(topic, written[start : start + 130])
    assert await all_of(log, topic, 1_000) == expected(written)


async def test_an_entry_may_name_its_partition(log, topic):
    written = [Entry(b"gap", b"%d" % partition, partition) for partition in range(PARTITIONS)]
    await log.append(topic, written)
    assert await all_of(log, topic, PARTITIONS) == expected(written)


async def test_a_partition_that_is_not_there_is_refused(log, topic):
    with pytest.raises(LogError, match="no partition 9"):
        await log.append(topic, [Entry(b"k", b"v", 9)])


async def test_tombstones_and_empty_values_stay_apart(log, topic):
    written = [Entry(b"k", b"v"), Entry(b"k", None), Entry(b"k", b""), Entry(b"", b"v")]
    await log.append(topic, written)
    assert await all_of(log, topic, 4) == expected(written)


async def test_nothing_appended_changes_nothing(log, topic):
    await log.append(topic, [])
    assert set((await log.end_offsets(topic)).values()) == {0}


async def test_offsets_begin_at_0_and_end_after_the_last_record(log, topic):
    written = entries(range(300))
    await log.append(topic, written)
    ends = {partition: len(records) for partition, records in expected(written).items()}
    assert await log.end_offsets(topic) == {partition: ends.get(partition, 0) for partition in range(PARTITIONS)}
    assert await log.begin_offsets(topic) == dict.fromkeys(range(PARTITIONS), 0)


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_what_was_acknowledged_is_there_after_reopening(open_log):
    async with open_log() as log:
        topic = await new_topic(log)
        await log.append(topic, entries(range(100)))
    async with open_log() as log:
        await log.ensure([Topic(topic, PARTITIONS, DAY_MS)])
        await log.append(topic, entries(range(100, 200)))
        assert await all_of(log, topic, 200) == expected(entries(range(200)))


async def test_reading_begins_where_it_is_told(log, topic):
    written = entries(range(2_000))
    await log.append(topic, written[:1_500])
    await log.append(topic, written[1_500:])
    positions = {partition: 100 + 50 * partition for partition in range(PARTITIONS)}
    held = {partition: records[positions[partition] :] for partition, records in expected(written).items()}
    reader = await log.reader(topic, positions)
    chunks = await read_all(reader, sum(map(len, held.values())), max_records=170)
    assert by_partition(chunks) == held
    assert not any(chunk.lost for chunk in chunks)
    assert dict(reader.positions) == await log.end_offsets(topic)
    await reader.close()


async def test_only_the_partitions_asked_for_are_read(log, topic):
    written = entries(range(400))
    await log.append(topic, written)
    reader = await log.reader(topic, {2: 0})
    assert by_partition(await read_all(reader, len(expected(written)[2]))) == {2: expected(written)[2]}
    assert await reader.poll(wait=0.0) == []
    await reader.close()


async def test_positions_move_with_the_chunks_returned_and_resume_another_reader(log, topic):
    written = entries(range(600))
    await log.append(topic, written)
    first = await log.reader(topic, dict.fromkeys(range(PARTITIONS), 0))
    before = await read_all(first, 150, max_records=50)
    positions = dict(first.positions)
    assert positions == {p: len(by_partition(before).get(p, [])) for p in range(PARTITIONS)}
    await first.close()
    second = await log.reader(topic, positions)
    after = await read_all(second, 600 - sum(positions.values()))
    assert by_partition([*before, *after]) == expected(written)
    await second.close()


async def test_a_busy_partition_does_not_starve_the_others(log, topic):
    await log.append(topic, [Entry(b"k", b"x" * 10, 0) for _ in range(20_000)])
    await log.append(topic, [Entry(b"k", b"y", 1)])
    reader = await log.reader(topic, dict.fromkeys(range(PARTITIONS), 0))
    chunks = []
    while not any(chunk.partition == 1 for chunk in chunks):
        chunks += await reader.poll(max_records=100, wait=1.0)
    assert len(by_partition(chunks)[0]) < 20_000
    await reader.close()


async def test_a_reader_that_waits_gets_what_is_appended_meanwhile(log, topic):
    reader = await log.reader(topic, dict.fromkeys(range(PARTITIONS), 0))
    assert await reader.poll(wait=0.01) == []
    waiting = asyncio.create_task(read_all(reader, 1))
    await asyncio.sleep(0)
    await log.append(topic, [Entry(b"k", b"v")])
    assert by_partition(await waiting) == expected([Entry(b"k", b"v")])
    await reader.close()


async def test_readers_do_not_disturb_each_other(log, topic):
    written = entries(range(3_000))

    async def write() -> None:
        for start in range(0, 3_000, 500):
            await log.append(topic, written[start : start + 500])

    async def read(max_records: int) -> dict:
        reader = await log.reader(topic, dict.fromkeys(range(PARTITIONS), 0))
        try:
            return by_partition(await read_all(reader, 3_000, max_records))
        finally:
            await reader.close()

    _, *held = await asyncio.gather(write(), read(10_000), read(700), read(333))
    assert all(records == expected(written) for records in held)


async def test_concurrent_appends_each_keep_their_order(log, topic):
    writers = [[Entry(b"w%d" % w, b"%d" % n) for n in range(200)] for w in range(5)]

    async def write(mine: list[Entry]) -> None:
        for start in range(0, 200, 40):
            await log.append(topic, mine[start : start + 40])

    await asyncio.gather(*map(write, writers))
    held = [record for records in (await all_of(log, topic, 1_000)).values() for record in records]
    for mine in writers:
        assert [value for _, key, value in held if key == mine[0].key] == [entry.value for entry in mine]


async def test_large_records_go_through_whole(log, topic):
    written = [Entry(b"k%d" % n, bytes([n]) * (MAX_RECORD_BYTES - 2)) for n in range(4)]
    await log.append(topic, written)
    assert await all_of(log, topic, 4) == expected(written)


async def test_a_record_over_the_limit_is_refused_and_nothing_of_its_batch_is_kept(log, topic):
    with pytest.raises(LogError, match="1000001 bytes"):
        await log.append(topic, [Entry(b"small", b"v"), Entry(b"k", b"x" * MAX_RECORD_BYTES)])
    assert set((await log.end_offsets(topic)).values()) == {0}


async def test_many_partitions(log):
    topic = await new_topic(log, partitions=64)
    written = entries(range(2_000), keys=1_000)
    await log.append(topic, written)
    assert await all_of(log, topic, 2_000, partitions=64) == expected(written, 64)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"partitions": 5}, "partitions 4, not 5"), ({"cleanup": "compact,delete"}, "cleanup delete")],
)
async def test_a_topic_that_is_otherwise_is_said(log, topic, change, sentence):
    asked = {"partitions": PARTITIONS, "retention_ms": DAY_MS, "cleanup": "delete"} | change
    with pytest.raises(LogError, match=sentence):
        await log.ensure([Topic(topic, **asked)])


@pytest.mark.parametrize(
    "use",
    [
        lambda log: log.append("absent", [Entry(b"k", b"v")]),
        lambda log: log.begin_offsets("absent"),
        lambda log: log.end_offsets("absent"),
        lambda log: log.reader("absent", {0: 0}),
    ],
    ids=["append", "begin", "end", "reader"],
)
async def test_a_topic_that_is_absent_is_said(log, use: Callable[[Log], Awaitable[object]]):
    with pytest.raises(LogError, match="Topic absent is not in"):
        await use(log)


async def test_a_position_beyond_the_end_is_said(log, topic):
    await log.append(topic, [Entry(b"k", b"v", 1)])
    with pytest.raises(LogError, match=r"Position 7 of partition 1 .* beyond its end, 1"):
        await log.reader(topic, {1: 7})


async def forget_all(log: Log, topic: str, clock: Clock) -> None:
    """Wait until retention has taken what a topic of one second's retention holds."""
    other = await new_topic(log)
    for _ in range(600):
        clock.now += 10.0  # the embedded log counts age by its clock and cleans up after appends; Kafka by its own
        await log.append(other, [Entry(b"k", b"v")])
        if await log.begin_offsets(topic) == await log.end_offsets(topic):
            return
        await asyncio.sleep(0.05)
    pytest.fail("retention took nothing")


async def test_what_retention_took_is_counted_at_once_and_reading_goes_on(log, clock):
    topic = f"contract-{uuid4().hex[:12]}"
    await log.ensure([Topic(topic, PARTITIONS, retention_ms=1_000)])
    await log.append(topic, entries(range(100)))
    ends = await log.end_offsets(topic)
    await forget_all(log, topic, clock)
    reader = await log.reader(topic, dict.fromkeys(ends, 5))
    lost: dict[int, int] = defaultdict(int)
    while dict(reader.positions) != ends:
        for chunk in await reader.poll(wait=1.0):
            assert not chunk.offsets
            lost[chunk.partition] += chunk.lost
    assert lost == {partition: end - 5 for partition, end in ends.items()}
    assert log.stats.lost == sum(lost.values())
    await log.append(topic, [Entry(b"new", b"value", 3)])
    (chunk,) = await read_all(reader, 1)
    assert (list(chunk.offsets), chunk.values, chunk.lost) == ([ends[3]], [b"value"], 0)
    await reader.close()


async def test_a_reader_that_comes_after_retention_is_told_what_it_missed(log, clock):
    topic = f"contract-{uuid4().hex[:12]}"
    await log.ensure([Topic(topic, 1, retention_ms=1_000)])
    await log.append(topic, entries(range(40)))
    await forget_all(log, topic, clock)
    await log.append(topic, entries(range(40, 50)))
    reader = await log.reader(topic, {0: 10})
    chunks = await read_all(reader, 10)
    assert [chunk.lost for chunk in chunks] == [30], "said with the first records after it"
    assert [offset for chunk in chunks for offset in chunk.offsets] == list(range(40, 50))
    await reader.close()


async def test_the_log_counts_what_it_took(log, topic):
    await log.append(topic, [Entry(b"key", b"value"), Entry(b"key", None)])
    stats = log.stats
    assert (stats.appends, stats.appended, stats.bytes, stats.lost, stats.last_error) == (1, 2, 11, 0, None)
    assert stats.append_seconds > 0


record = st.builds(
    Entry,
    st.binary(max_size=40),
    st.none() | st.binary(max_size=200),
    st.none() | st.integers(0, PARTITIONS - 1),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(record, max_size=30), max_size=6), max_records=st.integers(1, 40))
def test_whatever_is_appended_is_read_once_in_order(open_log, batches, max_records):
    async def scenario() -> None:
        async with open_log() as log:
            topic = await new_topic(log)
            for batch in batches:
                await log.append(topic, batch)
            written = [entry for batch in batches for entry in batch]
            reader = await log.reader(topic, dict.fromkeys(range(PARTITIONS), 0))
            assert by_partition(await read_all(reader, len(written), max_records)) == expected(written)
            assert await reader.poll(wait=0.0) == []
            await reader.close()

    asyncio.run(scenario())
