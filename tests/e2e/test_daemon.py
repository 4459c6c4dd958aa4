"""The daemon on the simulated network and the embedded log: ready, answering, stopping in order, surviving kill -9."""

import resource
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from prometheus_client.parser import text_string_to_metric_families

from consumers.log import Topics
from consumers.log.sqlite import SqliteLog
from daemon.metrics.declared import METRICS
from tests.e2e.process import Daemon

TOPICS = Topics()
SMALL = (
    *("--source", "simulator"),
    *("--set", "source.simulator.accounts=2000"),
    *("--set", "source.simulator.rate=100"),
    *("--set", "windows.length=1m"),
    *("--set", "windows.bucket=5s"),
    *("--set", "windows.lateness=1s"),
    *("--set", "log.partitions=3"),
    *("--set", "checkpoints.every=1s"),
    *("--set", "engine.panels=100"),
)
BRISK = ("--set", "source.simulator.speed=20")
WHOLE = ("--set", "source.simulator.speed=0", "--set", "source.simulator.duration=2m")
CLOCKS = ("timings", "watermark_lag")
"""What of a run's record depends on when it ran."""


async def records(path: Path, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    """Return key and value of every record of a topic."""
    found = []
    async with SqliteLog(path, read_only=True) as log:
        begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
        reader = await log.reader(topic, begins)
        while any(position < ends[partition] for partition, position in reader.positions.items()):
            for chunk in await reader.poll():
                found += zip(chunk.keys, chunk.values, strict=True)
        await reader.close()
    return found


async def events(path: Path) -> Counter[bytes]:
    """Return how often the log holds each agent event, whichever life of the bridge wrote it."""
    documents = [orjson.loads(value or b"") for _, value in await records(path, TOPICS.events)]
    told = [{**document, "epoch": None} for document in documents if "agent" in document]
    return Counter(orjson.dumps(document, option=orjson.OPT_SORT_KEYS) for document in told)


async def runs(path: Path) -> dict[str, dict[str, Any]]:
    """Return each run's last record without what depends on when it ran."""
    found = {}
    for _, value in await records(path, TOPICS.runs):
        record = orjson.loads(value or b"")
        found[record["id"]] = {key: value for key, value in record.items() if key not in CLOCKS}
    return found


def test_it_gets_ready_answers_and_stops_in_order(tmp_path: Path) -> None:
    with Daemon(tmp_path, *SMALL, *BRISK) as daemon:
        daemon.wait_for(lambda: daemon.ask("/readyz")[0] == 200)
        assert daemon.ask("/livez")[0] == 200
        run = daemon.run_after()
        assert run["agents"] > 100
        assert all(measure["neutral"]["ok"] for measure in run["indicators"].values())
        (top,) = daemon.json("/api/v1/agents?indicator=activity&limit=1")["agents"]
        assert daemon.json(f"/api/v1/agents/{top['agent']}")["level"]["activity"] == top["phi"]
        status = daemon.json("/status")
        assert status["worker"]["restored"]
        assert status["sources"][0]["name"] == "sim:1"
        assert b"<html" in daemon.ask("/")[1]
        assert_metrics(daemon.ask("/metrics")[1].decode())
        assert daemon.stop() == 0
        assert daemon.events("stopping")
        assert daemon.events("stopped")
        assert not [line for line in daemon.told.splitlines() if '"level":"error"' in line]
    assert list((daemon.state / "checkpoints").glob("*/manifest.json"))


def assert_metrics(text: str) -> None:
    declared = {metric.name.removesuffix("_total") for metric in METRICS}
    families = {family.name.removesuffix("_created") for family in text_string_to_metric_families(text)}
    ours = {name for name in families if name.startswith("starlingd")}
    assert ours <= declared
    assert "did:" not in text
    for name in ("ingest_events", "folded_events", "watermark_timestamp_seconds", "indicator_value", "runs", "ready"):
        assert f"starlingd_{name}" in ours


def test_after_a_clean_stop_it_goes_on_where_it_was(tmp_path: Path) -> None:
    flags = (*SMALL, *BRISK)
    with Daemon(tmp_path, *flags) as daemon:
        before = daemon.run_after()
        assert daemon.stop(signal.SIGINT) == 0
    with Daemon(tmp_path, *flags) as daemon:
        daemon.run_after(before["end"])
        (started,) = daemon.events("worker started")
        assert not started["rebuilt"]
        assert daemon.json("/status")["worker"]["fold"]["duplicates"] == 0
        assert daemon.stop() == 0


async def test_killed_in_mid_stream_it_counts_everything_once(tmp_path: Path) -> None:
    """Killed three times over, every event is in the log once and every run says what an unbroken one says."""
    with Daemon(tmp_path / "whole", *SMALL, *WHOLE) as unbroken:
        assert unbroken.finish() == 0
    flags = (*SMALL, *WHOLE, "--set", "source.simulator.speed=40")
    end = 0
    for _ in range(3):
        with Daemon(tmp_path / "killed", *flags) as daemon:
            end = daemon.run_after(end)["end"]
            daemon.process.kill()
    with Daemon(tmp_path / "killed", *SMALL, *WHOLE) as daemon:
        assert daemon.finish() == 0
    logs = [life.state / "log.db" for life in (unbroken, daemon)]
    expected, found = [await events(log) for log in logs]
    assert found == expected
    assert max(found.values()) == 1
    assert await runs(logs[1]) == await runs(logs[0])
    last = [dict(await records(log, TOPICS.attributions)) for log in logs]
    assert last[1] == last[0]


def test_it_ends_by_itself_when_told_for_how_long(tmp_path: Path) -> None:
    with Daemon(tmp_path, *SMALL, *BRISK, "--for", "2s") as daemon:
        assert daemon.finish() == 0


def test_a_part_that_dies_ends_all_with_its_cause_logged_once(tmp_path: Path) -> None:
    with Daemon(tmp_path, *SMALL, *BRISK) as daemon:
        daemon.run_after()
        # From now on the disk takes no more than this of any file: the next append fails.
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        assert daemon.finish() == 1
        deaths = [line for line in daemon.told.splitlines() if '"level":"critical"' in line]
        assert len(deaths) == 1
        assert " died: LogError: " in deaths[0]


def test_an_engine_that_does_not_come_back_does_not_hold_up_the_end(tmp_path: Path) -> None:
    stuck = "lambda *_, **__: os.write(2, b'\\nin\\n') and threading.Event().wait()"
    program = f"import os, threading, daemon.runs.cycle; daemon.runs.cycle.analyse = {stuck}"
    with Daemon(tmp_path, *SMALL, *BRISK, "--set", "drain=1s", program=program) as daemon:
        daemon.wait_for(lambda: "in" in daemon.told.split())
        assert daemon.stop() == 1
        assert "the worker did not end within 1 s" in daemon.told
