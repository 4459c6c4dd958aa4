"""Log to windows, in events a second and core, beside orjson.loads alone and stream processors on the same topic.

`python -m tests.benchmarks folding`; STARLINGD_BENCH_EVENTS sets how many. Kafka is left out where Java is missing.
Rates are by the process's own CPU time, for the machine may be shared; the broker's is not in them. Quix Streams,
Faust and Bytewax are asked for less: the eleven counts of each agent and minute, without the sums over an hour, its
snapshots, phases or valences, and without telling repeats. What each counted is held to a recount, as ours is.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from consumers.events import ACTIONS, Event
from consumers.log import Entry, Log, Topic
from consumers.log.kafka_options import KafkaOptions
from consumers.log.opening import open_log
from consumers.snapshot import Snapshot
from consumers.windows.delta import WIDTH
from consumers.windows.group import Windows
from consumers.windows.shape import Shape
from consumers.worker.worker import Worker
from tests.benchmarks._processors import PROGRAMS, Counts, ProcessorError, counted_by
from tests.servers.kafka import Kafka, KafkaFailedError, KafkaMissingError

EVENTS = int(os.environ.get("STARLINGD_BENCH_EVENTS", "300000"))
AGENTS = 200_000
RATE = 620
"""Agent events a second of the network in mid 2026."""
ROUNDS = 3
TOPIC = "bench.events"
PARTITIONS = 4
START = 1_783_166_400_000_000
KINDS = ("like", "repost", "follow", "post", "reply", "quote")

Timed = Callable[[], Awaitable[int]]


def events() -> list[bytes]:
    """Agent events as a relay's, each operation's actor before its target, agents with heavy tails."""
    random = np.random.default_rng(5)
    names = [f"did:plc:{number:024d}" for number in range(AGENTS)]
    agents = np.minimum(random.zipf(1.2, (EVENTS, 2)) - 1, AGENTS - 1)
    agents[:, 0] = random.permutation(AGENTS)[agents[:, 0]]
    kinds = random.choice(len(KINDS), EVENTS, p=(0.67, 0.11, 0.08, 0.06, 0.05, 0.03))
    values: list[bytes] = []
    for number in range(EVENTS):
        actor, target = names[agents[number, 0]], names[agents[number, 1]]
        kind = KINDS[kinds[number]]
        t = START + number * 2 * 1_000_000 // RATE
        uri = f"at://{actor}/app.bsky.feed.{kind}/3l{number:011d}"
        valence = round(float(random.uniform(-1, 1)), 4) if kind in ("post", "reply", "quote") else None
        given = {"t": t, "src": "relay:bench", "seq": number, "rev": f"3l{number:011d}", "uri": uri}
        values.append(Event(actor, "actor", kind, target, **given, valence=valence).encode())
        if kind != "post" and len(values) < EVENTS:
            values.append(Event(target, "target", kind, actor, **given).encode())
        if len(values) >= EVENTS:
            break
    return values


def load(values: list[bytes]) -> int:
    """Parse values one by one; nothing is kept, as in the fold."""
    for value in values:
        orjson.loads(value)
    return len(values)


def recount(values: list[bytes]) -> Counts:
    """Count each agent's minutes one by one."""
    found: Counts = Counter()
    for event in map(orjson.loads, values):
        found[event["agent"], event["t"] // 60_000_000 * 60_000, f"{event['role']} {event['kind']}"] += 1
    return found


def counts_of(windows: Windows) -> Counts:
    """Return what the windows hold of the same, out of their buckets."""
    kinds = [f"actor {kind}" for kind in ACTIONS] + [f"target {kind}" for kind in ACTIONS[1:]]
    found: Counts = {}
    for state in (part.state for part in windows.parts.values()):
        for bucket, delta in state.deltas.items():
            delta.settle()
            for cell, amount in zip(delta.cells.tolist(), delta.amounts.tolist(), strict=True):
                slot, column = divmod(cell, WIDTH)
                if column < len(kinds):
                    found[state.slots.names[slot], bucket * 60_000, kinds[column]] = amount
    return found


async def windows_over(log: Log) -> Windows:
    """Read the log into one-hour windows that close every minute."""

    async def closed(_snapshot: Snapshot) -> None:
        return None

    worker = Worker(log, TOPIC, Shape(), range(PARTITIONS), closed)
    await worker.start()
    await worker.finish()
    await worker.close()
    return worker.windows


async def to_windows(log: Log) -> int:
    """Return how many events went into windows."""
    return (await windows_over(log)).stats.events


async def read_and_load(log: Log) -> int:
    """Read the log and parse each record, nothing else."""
    reader = await log.reader(TOPIC, await log.begin_offsets(TOPIC))
    ends = await log.end_offsets(TOPIC)
    count = 0
    while any(reader.positions[partition] < end for partition, end in ends.items()):
        for chunk in await reader.poll():
            count += load([value for value in chunk.values if value])
    await reader.close()
    return count


async def bare_kafka(bootstrap: str) -> int:
    """Read with aiokafka alone and parse each record."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)])
    count = 0
    while count < EVENTS:
        for records in (await consumer.getmany(timeout_ms=500, max_records=10_000)).values():
            count += load([record.value for record in records])
    await consumer.stop()
    return count


async def measured(cases: dict[str, Timed]) -> dict[str, list[float]]:
    """Run the cases in turns; return events a CPU second of each round."""
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            began = time.process_time()
            count = await case()
            rates[name].append(count / (time.process_time() - began))
            assert count == EVENTS, (name, count)
    return rates


async def filled(log: Log, values: list[bytes]) -> Log:
    await log.ensure([Topic(TOPIC, PARTITIONS, 10**12)])
    for start in range(0, len(values), 5_000):
        batch = values[start : start + 5_000]
        await log.append(TOPIC, [Entry(orjson.loads(value)["agent"].encode(), value) for value in batch])
    return log


async def run(table: Table, kafka: Kafka | None) -> None:
    values = events()

    async def loads_alone() -> int:
        return load(values)

    with tempfile.TemporaryDirectory() as place:
        async with open_log(path=Path(place) / "log.db") as sqlite:
            await filled(sqlite, values)
            cases: dict[str, Timed] = {
                "orjson.loads alone": loads_alone,
                "SQLite, read + orjson.loads": lambda: read_and_load(sqlite),
                "SQLite → windows": lambda: to_windows(sqlite),
            }
            if kafka is None:
                _show(table, await measured(cases))
                return
            async with open_log(kafka=KafkaOptions(bootstrap=kafka.bootstrap)) as broker:
                await filled(broker, values)
                cases["Kafka, bare aiokafka + orjson.loads"] = lambda: bare_kafka(kafka.bootstrap)
                cases["Kafka → windows"] = lambda: to_windows(broker)
                _show(table, await measured(cases))
                right = recount(values)
                assert counts_of(await windows_over(broker)) == right
    for title, name in PROGRAMS.items():
        table.add_row(f"Kafka, {title}", *_by(name, kafka.bootstrap, right))


def _by(name: str, bootstrap: str, right: Counts) -> tuple[str, str]:
    """Return what another stream processor came to, in one round, and whether it counted right."""
    try:
        seconds, found = counted_by(name, bootstrap, TOPIC, PARTITIONS, EVENTS)
    except ProcessorError as error:
        return "-", str(error)
    wrong = sum(found.get(cell) != right.get(cell) for cell in found.keys() | right.keys())
    return f"{EVENTS / seconds:,.0f}", f"one round, {wrong} of {len(right):,} counts differ"


def _show(table: Table, rates: dict[str, list[float]]) -> None:
    for name, values in rates.items():
        table.add_row(name, f"{statistics.median(values):,.0f}", f"{min(values):,.0f} … {max(values):,.0f}")


def main() -> None:
    table = Table("log → windows", "events/s and core", f"range of {ROUNDS}", title=f"{EVENTS:,} agent events")
    try:
        with tempfile.TemporaryDirectory() as place, Kafka(Path(place) / "kafka") as kafka:
            asyncio.run(run(table, kafka))
    except (KafkaMissingError, KafkaFailedError) as error:
        print(f"without Kafka: {error}")
        asyncio.run(run(table, None))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
