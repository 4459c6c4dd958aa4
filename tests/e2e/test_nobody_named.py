"""Two promises about a whole daemon: under pseudonyms it names nobody, and a stream that it cannot read ends it."""

import signal
from pathlib import Path

import orjson
import pytest

from consumers.bridge.cursors import CursorFile
from consumers.log import Topics
from daemon.runs.pseudonyms import Pseudonyms
from tests.e2e.process import Daemon, refused
from tests.e2e.test_daemon import BRISK, SMALL, records
from tests.unit.consumers.frames import TIME_US, like_line

KEY = "9b1f0c6f5d0e4b7f8a3c2e1d4f6a7b8c9d0e1f2a3b4c5d6e"
TOPICS = Topics()


async def test_under_pseudonyms_nothing_that_leaves_the_daemon_names_an_account(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    flags = ("--set", "publish.pseudonyms=true", "--set", f"publish.pseudonym_key_file={tmp_path}/key")
    with Daemon(tmp_path, *SMALL, *BRISK, *flags, "--log-level", "debug") as daemon:
        run = daemon.run_after(daemon.run_after()["end"])
        (top,) = daemon.json("/api/v1/agents?indicator=activity&limit=1")["agents"]
        assert daemon.json(f"/api/v1/agents/{top['agent']}")["level"]["activity"] == top["phi"]
        shown = [
            daemon.ask(path)[1] for path in ("/status", "/metrics", "/api/v1/runs?limit=240", "/api/v1/agents", "/")
        ]
        assert daemon.stop(signal.SIGTERM) == 0
        shown.append(daemon.told.encode())
    published = [
        (key or b"") + (value or b"")
        for topic in (TOPICS.attributions, TOPICS.runs, TOPICS.deadletters)
        for key, value in await records(daemon.state / "log.db", topic)
    ]
    assert len(published) > run["agents"]
    assert [text for text in shown + published if b"did:" in text] == []
    agents = {
        orjson.loads(value)["agent"]
        for _, value in await records(daemon.state / "log.db", TOPICS.events)
        if value and b'"agent"' in value
    }
    attributed = {(key or b"").decode() for key, _ in await records(daemon.state / "log.db", TOPICS.attributions)}
    assert attributed
    assert attributed <= set(Pseudonyms(KEY).of(agents))
    status, lines, _ = refused("watch", "--state-dir", str(daemon.state), "--runs", "1", *flags)
    assert status == 0
    assert "p:" in lines
    assert "did:" not in lines


@pytest.mark.parametrize("good", [0, 20_000])
def test_a_daemon_that_cannot_read_its_source_ends_and_keeps_its_place(tmp_path: Path, good: int) -> None:
    path = tmp_path / "upstream.jsonl"
    with path.open("wb") as file:
        file.writelines(like_line(rkey=f"k{number:09d}", time_us=TIME_US + number) + b"\n" for number in range(good))
        file.writelines(b'{"novel": %d}\n' % number for number in range(20_000))
    flags = ("--source", "recording", "--set", f"source.paths={path}", "--set", "log.partitions=2")
    with Daemon(tmp_path, *flags) as daemon:
        assert daemon.finish() == 1
        told = daemon.told
    assert "could not be read, most for missing_field" in told
    saved = CursorFile(daemon.state, "jetstream1:file:upstream.jsonl").load()
    assert saved is None or (saved.cursor or 0) <= good + 1_000  # none: all of it took less than a second
    status, out, _ = refused("deadletters", "list", "--state-dir", str(daemon.state), "--json", "--limit", "100000")
    assert status == 0
    assert 0 < len(out.splitlines()) <= 600 + 60
