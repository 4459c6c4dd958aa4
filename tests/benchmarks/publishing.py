"""Publishing attribution records and reading them back: the two logs beside bare aiokafka and bare SQLite.

`python -m tests.benchmarks publishing`; STARLINGD_BENCH_RECORDS sets how many. `the publisher` is what a run takes:
it encodes what it appends, in a thread beside, and nothing of it is read back.
"""

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from consumers.log import Entry, Log, Topic, partition_of
from consumers.log.kafka import KafkaLog
from consumers.log.kafka_options import KafkaOptions
from consumers.log.sqlite import SqliteLog
from daemon.runs.attributions import Attributions
from daemon.runs.encoding import entries
from daemon.runs.publisher import Policy, Publisher
from tests.benchmarks.encoding import table
from tests.servers.kafka import Kafka, version

RECORDS = int(os.environ.get("STARLINGD_BENCH_RECORDS", "100000"))
BATCH = 10_000
PARTITIONS = 8
ROUNDS = max(1, min(5, 500_000 // RECORDS))
DAY_MS = 86_400_000


Seconds = NDArray[np.float64]
"""By the clock on the wall, and of this process's own processor time, for the machine may be shared."""


@dataclass
class Timing:
    """What each round took."""

    write: list[Seconds]
    read: list[Seconds]


def clock() -> Seconds:
    return np.array([time.perf_counter(), time.process_time()])


def records(board: Attributions) -> list[Entry]:
    return entries(board, np.arange(RECORDS), "benchmark", "all")


def batches(written: Sequence[Entry]) -> list[Sequence[Entry]]:
    return [written[start : start + BATCH] for start in range(0, len(written), BATCH)]


async def through_the_log(log: Log, written: Sequence[Entry]) -> tuple[Seconds, Seconds]:
    topic = f"bench-{uuid4().hex[:8]}"
    await log.ensure([Topic(topic, PARTITIONS, DAY_MS)])
    began = clock()
    for batch in batches(written):
        await log.append(topic, batch)
    wrote = clock()
    reader = await log.reader(topic, dict.fromkeys(range(PARTITIONS), 0))
    left = len(written)
    while left:
        left -= sum(len(chunk.offsets) for chunk in await reader.poll())
    read = clock()
    await reader.close()
    return wrote - began, read - wrote


async def through_the_publisher(log: Log, board: Attributions) -> tuple[Seconds, None]:
    topic = f"bench-{uuid4().hex[:8]}"
    await log.ensure([Topic(topic, PARTITIONS, DAY_MS)])
    with ThreadPoolExecutor(1) as executor:
        publisher = Publisher(log, topic, Policy.parse("all"), executor)
        began = clock()
        assert (await publisher.publish(board, "benchmark", "all", ())).attributions == RECORDS
        return clock() - began, None


async def bare_aiokafka(bootstrap: str, written: Sequence[Entry], log: Log) -> tuple[Seconds, Seconds]:
    """Bare `send_batch` with the same settings as the log's, the records already sorted by partition."""
    topic = f"bench-{uuid4().hex[:8]}"
    await log.ensure([Topic(topic, PARTITIONS, DAY_MS)])
    shares: list[list[Entry]] = [[] for _ in range(PARTITIONS)]
    for entry in written:
        shares[partition_of(entry.key, PARTITIONS)].append(entry)
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_batch_size=KafkaOptions("").batch_bytes,
    ) as producer:
        began = clock()
        futures = []
        cursors = [0] * PARTITIONS
        while any(cursor < len(share) for cursor, share in zip(cursors, shares, strict=True)):
            for partition, share in enumerate(shares):
                batch = producer.create_batch()
                while cursors[partition] < len(share):
                    entry = share[cursors[partition]]
                    if batch.append(key=entry.key, value=entry.value, timestamp=None) is None:
                        break
                    cursors[partition] += 1
                if batch.record_count():
                    batch.close()
                    futures.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*futures)
        wrote = clock()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, max_partition_fetch_bytes=1 << 21, fetch_max_bytes=1 << 24, group_id=None
    )
    await consumer.start()
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, 0)
    reading = clock()
    left = len(written)
    while left:
        got = await consumer.getmany(timeout_ms=200, max_records=10_000)
        left -= sum(map(len, got.values()))
    read = clock()
    await consumer.stop()
    return wrote - began, read - reading


async def bare_sqlite(path: Path, written: Sequence[Entry]) -> tuple[Seconds, Seconds]:
    """One row per record by `executemany`, one durable transaction per batch: what the log would be without blobs."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE records (partition INT, offset INT, key BLOB, value BLOB)")
    connection.execute("CREATE UNIQUE INDEX in_order ON records (partition, offset)")
    ends = [0] * PARTITIONS
    began = clock()
    for batch in batches(written):
        rows = []
        for entry in batch:
            partition = partition_of(entry.key, PARTITIONS)
            rows.append((partition, ends[partition], entry.key, entry.value))
            ends[partition] += 1
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    wrote = clock()
    for partition in range(PARTITIONS):
        connection.execute(
            "SELECT offset, key, value FROM records WHERE partition = ? ORDER BY offset", (partition,)
        ).fetchall()
    read = clock()
    connection.close()
    return wrote - began, read - wrote


async def measure(folder: Path, broker: Kafka) -> tuple[dict[str, Timing], int]:
    board = table(RECORDS)
    written = records(board)
    size = sum(len(entry.key) + len(entry.value or b"") for entry in written)
    timings: dict[str, Timing] = {}
    async with (
        KafkaLog(KafkaOptions(broker.bootstrap)) as kafka,
        SqliteLog(folder / "log.db") as sqlite,
        SqliteLog(":memory:") as memory,
    ):
        ways: dict[str, Callable[[int], Awaitable[tuple[Seconds, Seconds | None]]]] = {
            "bare aiokafka send_batch": lambda _: bare_aiokafka(broker.bootstrap, written, kafka),
            "the log on Kafka": lambda _: through_the_log(kafka, written),
            "the publisher on Kafka": lambda _: through_the_publisher(kafka, board),
            "bare SQLite, a row per record": lambda n: bare_sqlite(folder / f"bare-{n}.db", written),
            "the log in SQLite": lambda _: through_the_log(sqlite, written),
            "the log in memory": lambda _: through_the_log(memory, written),
        }
        for turn in range(ROUNDS + 1):  # in turns, so that a busy moment of the machine meets all; the first warms up
            for name, way in ways.items():
                write, read = await way(turn)
                if turn:
                    timing = timings.setdefault(name, Timing([], []))
                    timing.write.append(write)
                    timing.read += [] if read is None else [read]
    return timings, size


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, Kafka(Path(scratch, "kafka")) as broker:
        timings, size = asyncio.run(measure(Path(scratch), broker))
    grid = Table(
        title=f"{RECORDS:,} records of {size // RECORDS} bytes, {PARTITIONS} partitions, batches of {BATCH:,}, "
        f"Kafka {version()} on the same machine; median of {ROUNDS}"
    )
    for column in ("", "append records/s", "and core", "to bare", "read records/s", "and core", "to bare"):
        grid.add_column(column, justify="left" if not column else "right")
    bare = Timing([], [])
    for name, timing in timings.items():
        if name.startswith("bare"):
            bare = timing
        cells = []
        for mine, theirs in ((timing.write, bare.write), (timing.read, bare.read)):
            if not mine:
                continue
            own, other = np.median(mine, axis=0), np.median(theirs, axis=0)
            cells += [f"{rate:,.0f}" for rate in RECORDS / own]
            cells.append(" and ".join(f"{share:.2f}" for share in other / own))
        grid.add_row(name, *cells)
    Console(width=140).print(grid)


if __name__ == "__main__":
    main()
