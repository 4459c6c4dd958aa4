"""`starlingd replay` as other tools call it: counts, state table, run records, refusals."""

import gzip
import subprocess
import sys
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
import zstandard
from click.testing import CliRunner

from daemon.commands import cli
from engine.columns import COLUMNS

START = 1_783_166_400_000_000
MINUTE = 60_000_000
DIDS = [f"did:plc:{letter * 24}" for letter in "abcdef"]
KEYS = ["frames", "events", "duplicates", "late", "deadletters", "agents", "runs", "seconds"]
CORPUS = Path(__file__).parents[4] / "shared" / "data" / "jetstream-corpus"


def tid(number: int) -> str:
    letters = "234567abcdefghijklmnopqrstuvwxyz"
    return "3l" + "".join(letters[(number >> 5 * place) & 31] for place in range(10, -1, -1))


def line(number: int, minutes: float, actor: int, collection: str, record: dict) -> bytes:
    """One Jetstream v1 line that creates a record."""
    return orjson.dumps(
        {
            "did": DIDS[actor],
            "time_us": START + round(minutes * MINUTE),
            "kind": "commit",
            "commit": {
                "rev": tid(number),
                "operation": "create",
                "collection": collection,
                "rkey": tid(number),
                "record": {"$type": collection, "createdAt": "2026-07-04T12:00:00Z"} | record,
                "cid": "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454",
            },
        }
    )


def post(number: int, minutes: float, actor: int, text: str = "fine") -> bytes:
    return line(number, minutes, actor, "app.bsky.feed.post", {"text": text, "langs": ["en"]})


def like(number: int, minutes: float, actor: int, author: int) -> bytes:
    subject = {"uri": f"at://{DIDS[author]}/app.bsky.feed.post/3kabc", "cid": "x"}
    return line(number, minutes, actor, "app.bsky.feed.like", {"subject": subject})


LINES = [
    post(1, 0.1, 0, "I love this, it is wonderful"),
    like(2, 0.2, 1, 0),
    like(3, 1.5, 2, 0),
    b"{not json",
    like(2, 0.2, 1, 0),
    post(4, 3.2, 3, "terrible, awful, horrible war and death"),
    like(5, 0.5, 4, 3),
    like(6, 3.4, 1, 1),
]
"""A repeat, a line that is none, one that is late by two minutes, and a like of one's own."""


def run(*arguments: object):
    return CliRunner().invoke(cli, ["replay", *map(str, arguments)])


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join(LINES) + b"\n")
    return path


def test_the_counts_the_state_of_the_last_window_and_a_record_for_each_run(recording: Path, tmp_path: Path) -> None:
    state, runs = tmp_path / "state.parquet", tmp_path / "runs.jsonl"
    result = run(recording, "--window", "12m", "--bucket", "1m", "--state-out", state, "--runs-out", runs)
    assert result.exit_code == 0, result.stderr
    answer = orjson.loads(result.stdout)
    assert list(answer) == KEYS
    del answer["seconds"]
    assert answer == {
        "frames": 8, "events": 9, "duplicates": 2, "late": 2, "deadletters": 1, "agents": 5, "runs": 4,
    }  # fmt: skip
    table = pq.read_table(state)
    assert table.column_names == ["agent", *COLUMNS]
    rows = {row.pop("agent"): {name: value for name, value in row.items() if value} for row in table.to_pylist()}
    assert list(rows) == DIDS[:5]
    first = START // MINUTE
    assert rows[DIDS[0]] == {
        "posts": 1, "likes_in": 2, "scored": 1, "valence": rows[DIDS[0]]["valence"], f"phase_{first % 12:02d}": 1,
    }  # fmt: skip
    assert rows[DIDS[1]] == {"likes": 2, f"phase_{first % 12:02d}": 1, f"phase_{(first + 3) % 12:02d}": 1}
    assert rows[DIDS[3]]["alarm"] == 1
    assert rows[DIDS[3]]["likes_in"] == 1
    assert rows[DIDS[4]] == {"likes": 1, f"phase_{first % 12:02d}": 1}
    records = [orjson.loads(text) for text in runs.read_bytes().splitlines()]
    assert [record["end"] for record in records] == [START + minute * MINUTE for minute in (1, 2, 3, 4)]
    assert [record["agents"] for record in records] == [2, 3, 3, 5]


def test_two_replays_write_the_same_bytes(recording: Path, tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        state, runs = tmp_path / f"{name}.parquet", tmp_path / f"{name}.jsonl"
        assert run(recording, "--window", "12m", "--state-out", state, "--runs-out", runs).exit_code == 0
        written.append((state.read_bytes(), runs.read_bytes()))
    assert written[0] == written[1]
    assert written[0][1]


def test_files_are_one_stream_in_the_order_given_whatever_they_are_packed_in(recording: Path, tmp_path: Path) -> None:
    whole = recording.read_bytes()
    first, second = tmp_path / "first.jsonl.gz", tmp_path / "second.jsonl.zst"
    cut = whole.index(LINES[3])
    first.write_bytes(gzip.compress(whole[:cut]))
    second.write_bytes(zstandard.compress(whole[cut:]))
    answers = [orjson.loads(run(*files).stdout) for files in ((recording,), (first, second), (recording, recording))]
    for answer in answers:
        del answer["seconds"]
    assert answers[0] == answers[1]
    assert answers[2] == answers[0] | {"frames": 16, "duplicates": 13, "deadletters": 2}


def test_a_recording_shorter_than_a_window_fills_the_last_window_as_far_as_it_goes(recording: Path) -> None:
    answer = orjson.loads(run(recording).stdout)
    assert (answer["agents"], answer["runs"]) == (5, 4)


def test_a_recording_of_which_no_line_is_an_event_has_no_run(tmp_path: Path) -> None:
    path, state = tmp_path / "none.jsonl", tmp_path / "state.parquet"
    path.write_bytes(b'{"did":"x"}\n')
    answer = orjson.loads(run(path, "--state-out", state).stdout)
    assert [answer[key] for key in KEYS[:-1]] == [1, 0, 0, 0, 1, 0, 0]
    assert pq.read_table(state).num_rows == 0


@pytest.mark.parametrize("content", [None, b"", b"\x00\x01garbage"])
def test_a_file_that_is_absent_empty_or_no_recording_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path, state, runs = tmp_path / "bad.jsonl", tmp_path / "state.parquet", tmp_path / "runs.jsonl"
    if content is not None:
        path.write_bytes(content)
    result = run(path, "--state-out", state, "--runs-out", runs)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert str(path) in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not state.exists()
    assert not runs.exists()


def test_a_bad_second_file_is_refused_before_anything_is_written(recording: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs.jsonl"
    result = run(recording, tmp_path / "absent", "--runs-out", runs)
    assert result.exit_code == 2
    assert "absent" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lines.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--window", "1x"], "is not a duration"),
        (["--window", "1h", "--bucket", "7m"], "is not a multiple of 12 buckets"),
        (["--state-out", "absent/state.parquet"], "there is no directory"),
        (["--state-out", "same.out", "--runs-out", "same.out"], "also another file of this replay"),
    ],
)
def test_options_that_cannot_be_are_refused(recording: Path, monkeypatch, arguments: list[str], said: str) -> None:
    monkeypatch.chdir(recording.parent)
    result = run(recording, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_as_a_process_stdout_is_one_line_of_json_and_stderr_is_empty(recording: Path) -> None:
    command = [sys.executable, "-c", "from daemon.commands import main; main()", "replay", str(recording)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert list(orjson.loads(done.stdout)) == KEYS
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the Jetstream corpus is not at {CORPUS}")
def test_the_same_stretch_of_the_network_in_two_forms_gives_the_same_state(tmp_path: Path) -> None:
    tables = []
    for name in ("frames.bin.zst", "expected_v1.jsonl"):
        state = tmp_path / f"{name}.parquet"
        answer = orjson.loads(run(CORPUS / name, "--state-out", state).stdout)
        assert (answer["duplicates"], answer["late"], answer["deadletters"]) == (0, 0, 0)
        tables.append((answer["events"], answer["agents"], pq.read_table(state)))
    assert tables[0] == tables[1]
    both = orjson.loads(run(CORPUS / "frames.bin.zst", CORPUS / "expected_v1.jsonl").stdout)
    assert both["agents"] == tables[0][1]
    assert both["events"] <= tables[0][0] + 2  # an identity and an account, known by their receipt time alone
