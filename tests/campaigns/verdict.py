"""What a kill campaign is held to: a recount of the last window from the lines, and the runs of one left in peace."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from consumers.events import Event
from consumers.log import Log, Topics, partition_of
from consumers.sources.recording import RecordedSource
from consumers.windows.group import Windows
from consumers.windows.shape import Shape
from consumers.windows.snapshot import gather
from consumers.worker.checkpoints import Checkpoints
from engine.columns import COLUMNS, PHASES
from tests.unit.consumers import oracle

Table = dict[str, Counter[str]]
CLOCKS = ("timings", "watermark_lag")
"""What of a run's record depends on when it ran."""

DONE = tuple(name for name in COLUMNS if name not in PHASES)
"""The columns that say what was done, not when."""


async def events_of(recording: Path) -> list[Event]:
    """Return the agent events of a recording, in their order."""
    source = RecordedSource(recording, now=1 << 60)
    return [event async for delivery in source.deliveries(None) for event in delivery.events]


def last_end(events: list[Event], shape: Shape, partitions: int) -> int:
    """Return the end of the last window that these events close, when every partition is waited for."""
    tops = {partition_of(event.agent.encode(), partitions): 0 for event in events}
    for event in events:
        partition = partition_of(event.agent.encode(), partitions)
        tops[partition] = max(tops[partition], event.t)
    return (min(tops.values()) - shape.lateness) // shape.hop * shape.hop


def recount(events: list[Event], end: int, shape: Shape, partitions: int) -> Table:
    """Count the window that ends at `end` from the events that each partition held when it closed."""
    kept: list[Event] = []
    closed: set[int] = set()
    for event in events:
        partition = partition_of(event.agent.encode(), partitions)
        if partition not in closed:
            kept.append(event)
            if event.t >= end + shape.lateness:
                closed.add(partition)
    return oracle.table(oracle.alive(kept), end - shape.length, end, shape.bucket, shape.phase_buckets)


def closed_window(directory: Path, shape: Shape, partitions: int) -> tuple[int, list[str], NDArray[np.int32]]:
    """Return the end of the last closed window, its agents and their counts, out of the newest checkpoint."""
    checkpoints = Checkpoints(directory, {**shape.fingerprint(), "partitions": partitions})
    checkpoint = next(checkpoints.load())
    windows = Windows.load(shape, checkpoint.common, checkpoint.images)
    assert windows.head is not None
    agents, current, _, _ = gather([part.state for part in windows.parts.values()])
    return windows.head * shape.bucket, agents, current


def held(directory: Path, shape: Shape, partitions: int) -> tuple[int, Table]:
    """Return the end of the last closed window and the window itself, agent by agent."""
    end, agents, current = closed_window(directory, shape, partitions)
    return end, oracle.rows(agents, current)


def differences(found: Table, expected: Table, columns: Collection[str] = COLUMNS) -> int:
    """Return how many integers differ, over all agents and these columns."""
    return sum(
        found.get(agent, Counter())[name] != expected.get(agent, Counter())[name]
        for agent in found.keys() | expected.keys()
        for name in columns
    )


@dataclass
class Published:
    """All that a log holds of runs: their records by id, each form of them, and every value of every agent."""

    runs: dict[str, list[dict[str, Any]]]
    values: dict[tuple[str, str], set[bytes]]
    buried: set[str]
    """The agents who had a tombstone."""

    def differences(self, whole: "Published") -> int:
        """Return how many records and values are not those of an uninterrupted daemon, or are missing in either."""
        both = self.values.keys() & whole.values.keys()
        wrong = sum(record != whole.runs[run][0] for run, records in self.runs.items() for record in records)
        wrong += sum(self.values[key] != whole.values[key] for key in both)
        return wrong + self._misses(whole) + whole._misses(self)

    def _misses(self, other: "Published") -> int:
        """Return how many of the other's values are missing here, of runs that are here too.

        The topic of attributions is compacted: a value is not missed where a newer one of its agent, or a tombstone,
        has taken its place.
        """
        ends = {run: records[0]["end"] for run, records in self.runs.items()}
        newest: dict[str, int] = {}
        for run, agent in self.values:
            newest[agent] = max(newest.get(agent, 0), ends.get(run, 0))
        gone = self.buried | other.buried
        return sum(
            agent not in gone and newest.get(agent, 0) <= ends[run]
            for run, agent in other.values.keys() - self.values.keys()
            if run in ends
        )

    @property
    def reruns(self) -> int:
        """How many runs' records were written again, after a crash."""
        return sum(len(records) - 1 for records in self.runs.values())


async def records(log: Log, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    """Return key and value of every record of a topic."""
    found: list[tuple[bytes | None, bytes | None]] = []
    begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
    reader = await log.reader(topic, begins)
    while any(max(position, begins[partition]) < ends[partition] for partition, position in reader.positions.items()):
        for chunk in await reader.poll():
            found += zip(chunk.keys, chunk.values, strict=True)
    await reader.close()
    return found


async def published(log: Log, topics: Topics) -> Published:
    """Read what a log's subscribers can read of runs."""
    told = Published({}, {}, set())
    for _, value in await records(log, topics.runs):
        record: dict[str, Any] = orjson.loads(value or b"")
        plain = {key: value for key, value in record.items() if key not in CLOCKS}
        told.runs.setdefault(record["id"], []).append(plain)
    for key, value in await records(log, topics.attributions):
        if value is None:
            told.buried.add((key or b"").decode())
        else:
            document: Mapping[str, Any] = orjson.loads(value)
            told.values.setdefault((document["run"], document["agent"]), set()).add(value)
    return told


async def census(log: Log, topics: Topics) -> Counter[str]:
    """Count the events topic: agent events, claims, gaps, and events that stand there more than once."""
    found: Counter[str] = Counter()
    seen: set[bytes] = set()
    for _, value in await records(log, topics.events):
        document = orjson.loads(value or b"")
        if "agent" not in document:
            found[document["kind"]] += 1
            continue
        found["events"] += 1
        name = orjson.dumps([document[key] for key in ("agent", "role", "kind", "rev", "uri", "t")])
        found["twice"] += name in seen
        seen.add(name)
    return found
