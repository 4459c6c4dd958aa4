"""Ranks under torchrun on a real Kafka: however many share the partitions, and whoever dies, every number is one's."""

import asyncio
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import orjson
import pytest

from consumers.events import Event
from consumers.log import Entry, Topics
from consumers.log.kafka import KafkaLog
from consumers.log.kafka_options import KafkaOptions
from consumers.windows.shape import SECOND, Shape
from daemon.config.loading import load
from daemon.service.building import topics_of
from tests.campaigns import verdict
from tests.campaigns.upstream import simulated
from tests.e2e.process import COMMAND, PATIENCE, environment
from tests.servers.kafka import Kafka

PARTITIONS = 5
SHAPE = Shape(length=60 * SECOND, bucket=5 * SECOND, lateness=SECOND)
SETTINGS = (
    "windows.length=1m", "windows.bucket=5s", "windows.lateness=1s", "windows.idle=30m", "checkpoints.every=1s",
    "engine.panels=100", "engine.indicators=polarization,attention,activity,panic", "engine.device=cpu",
    "log.kind=kafka", f"log.partitions={PARTITIONS}", "log.replication=1", "source.kind=recording",
    "source.paths=none",
)  # fmt: skip


class Group:
    """`starlingd run --role attribute` as so many ranks; one alone is started without torchrun."""

    def __init__(self, folder: Path, ranks: int, *settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._told = folder / f"stderr-{len(list(folder.glob('stderr-*')))}.jsonl"
        torchrun = [Path(sys.executable).with_name("torchrun"), "--standalone", "--max-restarts", "3"]
        launch = [*torchrun, "--nproc-per-node", str(ranks), "--no-python"] if ranks > 1 else []
        assigned = [part for setting in (*SETTINGS, *settings) for part in ("--set", setting)]
        where = ["--state-dir", folder / "state", "--port", "0", "--log-format", "json"]
        self._command = [*launch, COMMAND, "run", "--role", "attribute", *where, *assigned]

    def __enter__(self) -> Self:
        with self._told.open("wb") as told:
            given = environment({"GLOO_SOCKET_IFNAME": "lo"})
            self.process = subprocess.Popen(self._command, env=given, stderr=told, stdout=told, start_new_session=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for rank in self.ranks():
            os.kill(rank, signal.SIGKILL)
        if error is not None:
            sys.stderr.write(self.told[-20_000:])

    @property
    def told(self) -> str:
        return self._told.read_text("utf-8", errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [orjson.loads(line) for line in self.told.splitlines() if line.startswith('{"') and line.endswith("}")]
        return [line for line in lines if line["event"] == name]

    def ranks(self) -> list[int]:
        """The process ids of the ranks."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(line) for line in found.stdout.split()]

    def stop(self) -> int:
        """End it in order; return its exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


class Stage:
    """One prefix in Kafka with the events of a small network, put there as the test goes on."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self.kafka, self.folder = kafka, folder
        self.topics = Topics(f"ranks-{uuid4().hex[:8]}")
        self.settings = (f"log.prefix={self.topics.prefix}", f"log.bootstrap={kafka.bootstrap}")

    def group(self, ranks: int) -> Group:
        return Group(self.folder, ranks, *self.settings)

    def _with_log(self, act: Callable[[KafkaLog], Any]) -> Any:
        async def opened() -> Any:
            async with KafkaLog(KafkaOptions(self.kafka.bootstrap)) as log:
                return await act(log)

        return asyncio.run(opened())

    def put(self, events: Sequence[Event]) -> None:
        config = load(None, {}, [("--set", *setting.split("=", 1)) for setting in (*SETTINGS, *self.settings)]).config

        async def append(log: KafkaLog) -> None:
            await log.ensure(topics_of(config)[1])
            await log.append(self.topics.events, [Entry(event.agent.encode(), event.encode()) for event in events])

        self._with_log(append)

    def published(self) -> verdict.Published:
        found: verdict.Published = self._with_log(lambda log: verdict.published(log, self.topics))
        return found

    def wait_for(self, end: int, group: Group) -> verdict.Published:
        """Return all that was published once the window that ends then was."""
        deadline = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < deadline:
            found = self.published()
            if any(record["end"] >= end for records in found.runs.values() for record in records):
                return found
            assert group.process.poll() is None, f"it ended with {group.process.returncode}"
            time.sleep(0.5)
        raise AssertionError(f"no run of {end} came; the newest are {list(found.runs)[-3:]}")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    path = tmp_path_factory.mktemp("lines") / "lines.jsonl"
    path.write_bytes(b"\n".join(simulated(7, 125, 20.0)) + b"\n")
    return asyncio.run(verdict.events_of(path))


def end_of(events: list[Event]) -> int:
    return verdict.last_end(events, SHAPE, PARTITIONS)


@pytest.fixture(scope="module")
def alone(kafka: Kafka, events: list[Event], tmp_path_factory: pytest.TempPathFactory) -> verdict.Published:
    """What one process publishes."""
    stage = Stage(kafka, tmp_path_factory.mktemp("alone"))
    stage.put(events)
    with stage.group(1) as group:
        found = stage.wait_for(end_of(events), group)
        assert group.stop() == 0
    assert len(found.runs) > 15
    return found


ROUNDING = ("residual", "lambda_error")
"""What of a measure is the error that rounding left."""


def agree(found: Any, expected: Any, where: str) -> None:
    """Hold two documents to each other: floats to 1e-12, all else exactly. A part of a sum that is absent is 0."""
    if isinstance(expected, dict):
        lenient = where.endswith(".parts")
        assert lenient or found.keys() == expected.keys(), where
        for key in (found.keys() | expected.keys()).difference(ROUNDING):
            agree(found.get(key, 0.0), expected.get(key, 0.0), f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for place, value in enumerate(expected):
            agree(found[place], value, f"{where}[{place}]")
    elif isinstance(expected, float) and isinstance(found, float):
        assert math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-14), (where, found, expected)
    else:
        assert found == expected, where


def same(found: verdict.Published, expected: verdict.Published) -> None:
    """Hold all runs and each agent's attributions to those of one process."""
    assert found.runs.keys() == expected.runs.keys()
    for run, records in expected.runs.items():
        for record in found.runs[run]:
            agree(record, records[0], run)
    assert found.values.keys() == expected.values.keys()
    for key, values in expected.values.items():
        (value,) = values
        for again in found.values[key]:
            agree(orjson.loads(again), orjson.loads(value), str(key))
    assert found.buried == expected.buried


@pytest.mark.kafka
def test_two_ranks_publish_what_one_does(
    kafka: Kafka, events: list[Event], alone: verdict.Published, tmp_path: Path
) -> None:
    stage = Stage(kafka, tmp_path)
    stage.put(events)
    with stage.group(2) as group:
        found = stage.wait_for(end_of(events), group)
        group.stop()
    same(found, alone)


@pytest.mark.kafka
def test_two_ranks_become_three_and_one_that_is_killed_comes_back_with_its_partitions(
    kafka: Kafka, events: list[Event], alone: verdict.Published, tmp_path: Path
) -> None:
    half = events[: len(events) // 2]
    stage = Stage(kafka, tmp_path)
    stage.put(half)
    with stage.group(2) as group:
        stage.wait_for(end_of(half), group)
        group.stop()
    with stage.group(3) as group:
        stage.put(events[len(half) :])
        stage.wait_for(end_of(half) + 5 * SECOND, group)
        os.kill(group.ranks()[1], signal.SIGKILL)
        found = stage.wait_for(end_of(events), group)
        assert len(group.events("worker started")) == 6
        assert not any(line["rebuilt"] for line in group.events("worker started"))
        group.stop()
    same(found, alone)
