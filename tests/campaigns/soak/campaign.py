"""The soak: a day of the network through a real Kafka and a real worker with checkpoints, as fast as both go.

Windows of an hour close every hour of stream time, so that folding takes most of the time and not the engine.
A quarter of the day's memory is held against another with as many agents; in the third all of them leave and come
back. At the end nothing is left in the log, every integer of the last window is the recount's, and so is the number
of agents of each run.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from consumers.log import Topic, Topics
from consumers.log.kafka_options import KafkaOptions
from consumers.log.opening import open_log
from consumers.windows.shape import SECOND, Shape
from engine.columns import INDEX
from tests.campaigns import verdict
from tests.campaigns.soak import recount
from tests.campaigns.soak.report import Report, Sample
from tests.e2e.process import Daemon
from tests.servers.kafka import Kafka

PARTITIONS = 8
RETENTION = 6 * 3600
"""Seconds, as the daemon would have it. The day's records take 3 GB, compressed; retention is by the wall clock."""

SHAPE = Shape(length=recount.WINDOW * recount.BUCKET, bucket=recount.BUCKET, hop=recount.HOP * recount.BUCKET)
EVERY = 2.0
"""Seconds between samples of a long day; a short one has to be looked at more often."""

_STUCK = 300.0

SETTINGS = (
    "windows.length=1h",
    "windows.bucket=5m",
    "windows.hop=1h",
    "windows.idle=1h",
    "drain=2m",
    "checkpoints.every=30s",
    "engine.device=cpu",
    "publish.policy=top:1000",
    f"log.partitions={PARTITIONS}",
    "log.replication=1",
)
"""`idle`: the stream is of the past, so that a feeder that is slow must not be taken for the end of it."""


def soak(folder: Path, kafka: Kafka, events: int, every: float = EVERY) -> Report:
    """Feed a day of so many events, look at the worker `every` so many seconds until it has read all, and compare."""
    report, topics, answer = Report(), Topics(), folder / "recount.npz"
    flags = ("--role", "attribute", "--log", "kafka", "--bootstrap", kafka.bootstrap)
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    asyncio.run(_prepare(kafka, topics))
    began = time.monotonic()
    feeder = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.campaigns.soak.day",
            kafka.bootstrap,
            topics.events,
            *map(str, (PARTITIONS, events)),
            answer,
        ]
    )
    try:
        with Daemon(folder / "worker", *flags, *settings) as daemon:
            _watch(daemon, feeder, report, began, every)
            report.seconds = time.monotonic() - began
            told = daemon.json("/status")["worker"]
            assert daemon.stop() == 0, daemon.told
    finally:
        feeder.kill()
        feeder.wait()
    with np.load(answer) as right:
        _compare(report, daemon.state / "checkpoints", told, right)
        asyncio.run(_compare_runs(report, kafka, topics, dict(right["runs"].tolist())))
    report.disk_mib = sum(file.stat().st_size for file in (kafka.folder / "data").rglob("*") if file.is_file()) / (
        1 << 20
    )
    return report


async def _prepare(kafka: Kafka, topics: Topics) -> None:
    async with open_log(kafka=KafkaOptions(kafka.bootstrap, replication_factor=1)) as log:
        await log.ensure([Topic(topics.events, PARTITIONS, RETENTION * 1000)])


def _watch(daemon: Daemon, feeder: subprocess.Popen[bytes], report: Report, began: float, every: float) -> None:
    """Sample until the feeder has ended, nothing is left to read, and the last window of the day was published."""
    moved, newest = time.monotonic(), (0, 0)
    while True:
        try:
            status = daemon.json("/status")
        except OSError:  # on a busy machine it may not answer in time; then there is one sample less
            status = {}
        if worker := status.get("worker"):
            report.samples.append(_sample(worker, daemon.process.pid, time.monotonic() - began))
            place = (worker["fold"]["events"], worker["closed"])
            if place != newest:
                moved, newest = time.monotonic(), place
            run = status["run"]
            ended = run and datetime.fromisoformat(run["end"]).timestamp() * SECOND >= recount.END
            if feeder.poll() is not None and ended and not worker["behind"]:
                assert feeder.returncode == 0
                return
        assert feeder.poll() in (None, 0), "the feeder died"
        assert time.monotonic() - moved < _STUCK, f"nothing moves at {newest}: {daemon.told[-2_000:]}"
        time.sleep(every)


def _sample(worker: Mapping[str, Any], process: int, seconds: float) -> Sample:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    mark = worker["watermark"]
    reached = datetime.fromisoformat(mark).timestamp() * SECOND if mark else recount.START
    return Sample(
        seconds,
        pages * 4096 / (1 << 20),
        worker["agents"],
        worker["behind"],
        worker["checkpoints"].get("age_seconds", 0.0),
        (reached - recount.START) / recount.HOUR,
    )


def _compare(report: Report, checkpoints: Path, told: Mapping[str, Any], right: Mapping[str, Any]) -> None:
    """Hold the last window, out of the checkpoint, and what the fold says of itself to the recount."""
    end, names, window = verdict.closed_window(checkpoints, SHAPE, PARTITIONS)
    assert end == recount.END, end
    active = window.any(axis=0)
    found = dict(
        zip(
            np.array(names)[active].tolist(),
            window[[INDEX[name] for name in recount.COLUMNS]][:, active].T,
            strict=True,
        )
    )
    expected = dict(zip([name.decode() for name in right["agents"].tolist()], right["window"], strict=True))
    nothing = np.zeros(len(recount.COLUMNS), np.int64)
    report.count_differences = sum(
        int((found.get(name, nothing) != expected.get(name, nothing)).sum()) for name in found.keys() | expected.keys()
    )
    report.agents, report.events, report.repeats = len(expected), int(right["events"]), int(right["repeats"])
    report.checkpoints = told["checkpoints"]["saved"]
    due = {
        "events": report.events,
        "duplicates": report.repeats,
        "erased": int(right["deleted"]),
        "late": 0,
        "malformed": 0,
        "lost": 0,
    }
    report.tally_differences = {name: (told["fold"][name], n) for name, n in due.items() if told["fold"][name] != n}


async def _compare_runs(report: Report, kafka: Kafka, topics: Topics, right: dict[int, int]) -> None:
    async with open_log(kafka=KafkaOptions(kafka.bootstrap)) as log:
        records = [orjson.loads(value or b"") for _, value in await verdict.records(log, topics.runs)]
    found = {record["end"]: record["agents"] for record in records}
    report.runs = len(records)
    report.run_differences = sum(found.get(end) != right.get(end) for end in found.keys() | right.keys())
