"""Following a log's runs, through the reader and through the command."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from consumers.log import Entry, Topics
from consumers.log.sqlite import SqliteLog
from daemon.commands import cli
from daemon.config.model import Config
from daemon.runs.encoding import entries
from daemon.runs.following import Follower
from daemon.runs.latest import Results
from daemon.runs.records import RunRecord
from daemon.service import building
from tests.runs import finding, results

TOPICS = Topics()


def run(number: int) -> Results:
    return results([finding("polarization", "neutral", value=0.5 + number)], number)


async def attribute(log: SqliteLog, shown: Results) -> None:
    table = shown.attributions
    await log.append(TOPICS.attributions, entries(table, np.arange(len(table.agents)), shown.record["id"], "all"))


async def commit(log: SqliteLog, shown: Results) -> None:
    record = RunRecord.model_validate(shown.record)
    await log.append(TOPICS.runs, [Entry(record.id.encode(), record.encode())])


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    async with SqliteLog(tmp_path / "log.db") as opened:
        await opened.ensure(building.topics_of(Config())[1])
        yield opened


async def test_runs_come_in_order_beginning_with_the_newest(log: SqliteLog) -> None:
    for number in range(3):
        await commit(log, run(number))
    found = Follower(log, TOPICS).committed(wait=0.01)
    first = await anext(found)
    assert first is not None
    assert first.run.id == "all-0002"
    assert await anext(found) is None
    await commit(log, run(3))
    following = await anext(found)
    assert following is not None
    assert following.run.id == "all-0003"
    await found.aclose()


async def test_an_attribution_counts_only_with_its_run(log: SqliteLog) -> None:
    await attribute(log, run(0))
    await attribute(log, run(1))
    await commit(log, run(1))
    found = Follower(log, TOPICS, "did:plc:bob").committed(wait=0.01)
    one = await anext(found)
    assert one is not None
    assert one.agent is not None
    assert (one.run.id, one.agent.run, one.agent.level) == ("all-0001", "all-0001", {"polarization": 0.3})
    assert await anext(found) is None
    await found.aclose()


async def test_an_agent_without_a_record_is_said_to_have_none(log: SqliteLog) -> None:
    await attribute(log, run(0))
    await commit(log, run(0))
    found = Follower(log, TOPICS, "did:plc:nobody").committed(wait=0.01)
    one = await anext(found)
    assert one is not None
    assert one.agent is None
    await found.aclose()


async def test_the_command_reads_beside_the_daemon_that_writes(log: SqliteLog, tmp_path: Path) -> None:
    await attribute(log, run(0))
    await commit(log, run(0))
    said = await asyncio.to_thread(watched, tmp_path)
    assert said[0].startswith("13:38:00-14:38:00 all-0000: 4 accounts")
    assert said[1].startswith("  polarization 0.5 residual 1e-13 | did:plc:bob 81 % head")
    said = await asyncio.to_thread(watched, tmp_path, "--agent", "did:plc:bob")
    assert said == ["all-0000 did:plc:bob (head, visibility 90): polarization 0.3"]


def watched(state: Path, *arguments: str) -> list[str]:
    """Run the command as a process of its own, as a person does beside a daemon; return its lines."""
    command = Path(sys.executable).parent / "starlingd"
    whole = [command, "watch", "--state-dir", state, "--runs", "1", *arguments]
    return subprocess.run(whole, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()


def test_without_a_log_there_is_one_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["watch", "--state-dir", str(tmp_path / "absent"), "--runs", "1"])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "log.db" in done.stderr
