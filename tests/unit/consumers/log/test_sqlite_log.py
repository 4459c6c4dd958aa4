"""What only the embedded log promises: its file, its one writer, its upkeep, and what it says when the disk fails."""

import asyncio
import os
import signal
import sqlite3
import sys
import textwrap

import pytest

from consumers.log import Entry, LogError, Topic
from consumers.log.sqlite import SqliteLog

DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "log.db"


async def read(log: SqliteLog, topic: str, partitions: int = 1) -> list[tuple[int, bytes | None, bytes | None]]:
    reader = await log.reader(topic, dict.fromkeys(range(partitions), 0))
    held = []
    while chunks := await reader.poll(wait=0.0):
        for chunk in chunks:
            held += zip(chunk.offsets, chunk.keys, chunk.values, strict=True)
    return held


async def upkeep(log: SqliteLog, clock: Clock, rounds: int = 5) -> None:
    """Have appends start the upkeep, and wait for it."""
    await log.ensure([Topic("tick", 1, 10**12)])
    for _ in range(rounds):
        clock.now += 2.0
        await log.append("tick", [Entry(b"k", b"v")])
        await log._keeping_up


async def test_a_second_writer_is_refused_in_one_sentence(path):
    async with SqliteLog(path):
        with pytest.raises(LogError, match="Another process writes the log"):
            async with SqliteLog(path):
                pass
    async with SqliteLog(path):
        pass


async def test_a_reader_of_another_process_sees_what_is_appended(path):
    async with SqliteLog(path) as log, SqliteLog(path, read_only=True) as other:
        await log.ensure([Topic("t", 1, 10**9)])
        reader = await other.reader("t", {0: 0})
        waiting = asyncio.create_task(reader.poll(wait=30.0))
        await asyncio.sleep(0)
        await log.append("t", [Entry(b"k", b"v")])
        assert (await waiting)[0].values == [b"v"]
        with pytest.raises(LogError, match="readonly"):
            await other.append("t", [Entry(b"k", b"v")])


async def test_reading_a_log_that_is_not_there_makes_none(path):
    with pytest.raises(LogError, match="There is no log at"):
        async with SqliteLog(path, read_only=True):
            pass
    assert not path.exists()


async def test_kill_9_takes_nothing_that_was_acknowledged(path):
    program = textwrap.dedent("""
        import asyncio, sys
        from consumers.log import Entry, Topic
        from consumers.log.sqlite import SqliteLog

        async def main():
            async with SqliteLog(sys.argv[1]) as log:
                await log.ensure([Topic("t", 2, 10**9)])
                for n in range(10**6):
                    await log.append("t", [Entry(b"k", b"%d-%d" % (n, i), i % 2) for i in range(20)])
                    print(n, flush=True)

        asyncio.run(main())
    """)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged = -1
    while acknowledged < 30:
        acknowledged = int(await process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    acknowledged = max([acknowledged, *map(int, (await process.stdout.read()).split())])
    await process.wait()
    async with SqliteLog(path) as log:
        values = [value for _, _, value in await read(log, "t", 2)]
    whole, rest = divmod(len(values), 20)
    assert rest == 0, "an append is kept whole or not at all"
    assert whole > acknowledged
    assert sorted(values) == sorted(b"%d-%d" % (n, i) for n in range(whole) for i in range(20))


async def test_a_failed_append_leaves_nothing_behind(path):
    async with SqliteLog(path) as log:
        await log.ensure([Topic("t", 4, 10**9)])
        await log.append("t", [Entry(b"k", b"before", 0)])
        connection = log._store.connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 8}")
        too_much = [Entry(b"k", os.urandom(50_000), n % 4) for n in range(8)]
        with pytest.raises(LogError, match="make room on its disk; nothing of the last append was kept"):
            await log.append("t", too_much)
        assert log.stats.last_error is not None
        connection.execute("PRAGMA max_page_count = 1000000")
        await log.append("t", [Entry(b"k", b"after", 0)])
        assert await read(log, "t", 4) == [(0, b"k", b"before"), (1, b"k", b"after")]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.write_bytes(b"not a database at all, but long enough " * 40), "damaged or no log"),
        (
            lambda path: sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close(),
            "not a starlingd log",
        ),
        (lambda path: path.mkdir(), "see that its directory exists"),
    ],
    ids=["no-database", "another-database", "a-folder"],
)
async def test_a_file_that_is_no_log_is_said_and_left_alone(path, make, sentence):
    path.parent.mkdir()
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LogError, match=sentence):
        async with SqliteLog(path):
            pass
    assert before is None or path.read_bytes() == before


async def test_a_damaged_record_is_said_and_not_returned(path):
    async with SqliteLog(path) as log:
        await log.ensure([Topic("t", 1, 10**9)])
        await log.append("t", [Entry(b"key", b"value" * 100)])
    with sqlite3.connect(path) as connection:
        body = bytearray(connection.execute("SELECT body FROM batches").fetchone()[0])
        body[-6] ^= 0xFF
        connection.execute("UPDATE batches SET body = ?", (bytes(body),))
    connection.close()
    async with SqliteLog(path) as log:
        with pytest.raises(LogError, match="damaged"):
            await read(log, "t")


async def test_a_directory_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LogError, match="cannot be opened"):
        async with SqliteLog(tmp_path / "file" / "log.db"):
            pass


async def test_a_closed_log_says_so(path):
    async with SqliteLog(path) as log:
        await log.ensure([Topic("t", 1, 10**9)])
    with pytest.raises(LogError, match="is closed"):
        await log.append("t", [Entry(b"k", b"v")])


async def test_retention_takes_only_what_is_past_it(path, clock):
    async with SqliteLog(path, clock=clock) as log:
        await log.ensure([Topic("t", 1, round(DAY * 1000))])
        await log.append("t", [Entry(b"k", b"old")] * 10)
        clock.now += DAY / 2
        await log.append("t", [Entry(b"k", b"new")] * 5)
        clock.now += DAY / 2 + 1
        await upkeep(log, clock)
        assert await log.begin_offsets("t") == {0: 10}
        assert [value for _, _, value in await read(log, "t")] == [b"new"] * 5


async def test_offsets_go_on_after_retention_took_everything_and_the_log_was_reopened(path, clock):
    async with SqliteLog(path, clock=clock) as log:
        await log.ensure([Topic("t", 1, 1_000)])
        await log.append("t", [Entry(b"k", b"old")] * 10)
        clock.now += 10
        await upkeep(log, clock)
    async with SqliteLog(path, clock=clock) as log:
        await log.append("t", [Entry(b"k", b"new")])
        assert await log.end_offsets("t") == {0: 11}
        assert (await read(log, "t"))[0][0] == 10


async def test_a_changed_retention_is_taken_over(path, clock):
    async with SqliteLog(path, clock=clock) as log:
        await log.ensure([Topic("t", 1, 10**9)])
        await log.append("t", [Entry(b"k", b"v")])
        await log.ensure([Topic("t", 1, 1_000)])
        clock.now += 10
        await upkeep(log, clock)
        assert await log.begin_offsets("t") == {0: 1}


async def test_compaction_keeps_the_newest_record_of_each_key_and_drops_old_tombstones(clock):
    async with SqliteLog(":memory:", clock=clock, tombstone_seconds=DAY) as log:
        await log.ensure([Topic("t", 1, 10**12, "compact,delete")])
        for run in range(30):
            await log.append("t", [Entry(b"%d" % key, b"%d" % run) for key in range(500)])
        await log.append("t", [Entry(b"%d" % key, None) for key in range(100)])
        await upkeep(log, clock)
        held = await read(log, "t")
        assert {key: value for _, key, value in held} == {
            b"%d" % key: None if key < 100 else b"29" for key in range(500)
        }
        assert len(held) == 500
        assert [offset for offset, _, _ in held] == sorted(offset for offset, _, _ in held)
        clock.now += 2 * DAY
        await log.append("t", [Entry(b"next", b"%d" % n) for n in range(12_000)])
        await upkeep(log, clock)
        held = await read(log, "t")
        assert {key: value for _, key, value in held} == {b"%d" % key: b"29" for key in range(100, 500)} | {
            b"next": b"11999"
        }
        assert await log.begin_offsets("t") == {0: 0}
        assert log.stats.last_error is None


async def test_a_reader_passes_over_what_compaction_took_without_calling_it_lost(path, clock):
    topic = Topic("t", 1, 10**12, "compact,delete")
    async with SqliteLog(path, clock=clock) as log:
        await log.ensure([topic])
        await log.append("t", [Entry(b"stays", b"v"), *(Entry(b"k", b"%d" % n) for n in range(12_000))])
        await log.append("t", [Entry(b"k", None)])
    clock.now += 2 * DAY
    async with SqliteLog(path, clock=clock) as log:
        await upkeep(log, clock)
        assert await read(log, "t") == [(0, b"stays", b"v")]
        for position in (0, 1, 3, 12_000):
            reader = await log.reader("t", {0: position})
            while await reader.poll(wait=0.0):
                pass
            assert dict(reader.positions) == await log.end_offsets("t") == {0: 12_002}
        assert log.stats.lost == 0


async def test_appends_go_on_while_compaction_works(clock):
    async with SqliteLog(":memory:", clock=clock) as log:
        await log.ensure([Topic("t", 2, 10**12, "compact,delete")])
        for run in range(60):
            await log.append("t", [Entry(b"%d" % key, b"%d" % run) for key in range(1_000)])
            clock.now += 2.0
        await upkeep(log, clock)
        newest = {key: value for _, key, value in await read(log, "t", 2)}
        assert newest == {b"%d" % key: b"59" for key in range(1_000)}
