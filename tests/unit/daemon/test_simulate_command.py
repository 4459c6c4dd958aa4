"""`starlingd simulate` through the real command line."""

import gzip
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import zstandard
from click.testing import CliRunner, Result

from consumers.sources.simulator import SimulatedSource, default_plant
from daemon.commands import cli

SMALL = ["--accounts", "500", "--rate", "20", "--for", "2m", "--seed", "5"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["simulate", *arguments])


def expected(*phenomena) -> bytes:
    plants = [default_plant(phenomenon, 500, 120.0) for phenomenon in phenomena]
    source = SimulatedSource(accounts=500, rate=20.0, duration=120.0, seed=5, plants=plants)
    return b"".join(line + b"\n" for chunk in source.chunks() for line in chunk.lines)


def test_lines_go_to_stdout():
    result = run(*SMALL)
    assert result.exit_code == 0
    assert result.stdout_bytes == expected()


@pytest.mark.parametrize(
    ("ending", "unpack"),
    [
        ("jsonl", bytes),
        ("jsonl.gz", gzip.decompress),
        ("jsonl.zst", lambda data: zstandard.ZstdDecompressor().stream_reader(data).read()),
    ],
)
def test_a_file_is_compressed_as_its_name_says(tmp_path, ending, unpack):
    out = tmp_path / f"lines.{ending}"
    result = run(*SMALL, "--out", str(out))
    assert (result.exit_code, result.stdout_bytes) == (0, b"")
    assert unpack(out.read_bytes()) == expected()
    assert list(tmp_path.iterdir()) == [out]


def test_the_culprits_are_told_with_their_time_and_indicator(tmp_path):
    out, culprits = tmp_path / "lines.jsonl", tmp_path / "culprits.json"
    result = run(*SMALL, "--plant", "burst,cascade", "--out", str(out), "--culprits-out", str(culprits))
    assert result.exit_code == 0
    assert out.read_bytes() == expected("cascade", "burst")
    told = orjson.loads(culprits.read_bytes())
    assert [(plant["phenomenon"], plant["indicator"]) for plant in told["plants"]] == [
        ("cascade", "cascade"),
        ("burst", "synchrony"),
    ]
    lines = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    for plant in told["plants"]:
        assert plant["dids"]
        assert set(plant["dids"]) <= {line["did"] for line in lines}
        assert lines[0]["time_us"] <= plant["start"] < plant["end"] <= lines[-1]["time_us"]


def test_a_log_takes_each_event_once_however_often_it_is_asked(tmp_path):
    into = ["--log", "sqlite", "--state-dir", str(tmp_path), "--set", "logging.level=error"]
    first = orjson.loads(run(*SMALL, *into).stdout_bytes)
    assert first["lines"] == len(expected().splitlines())
    assert first["events"] > first["lines"]
    again = orjson.loads(run(*SMALL, *into).stdout_bytes)
    assert again["events"] == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--for", "soon"], "'soon' is not a duration"),
        (["--plant", "riot"], "'riot' is none of cascade, polarization, burst"),
        (["--start", "noon"], "'noon' is not a time"),
        (["--accounts", "7"], "accounts is 7"),
        (["--speed", "-1"], "speed is -1"),
        (["--rate", "nan"], "rate is nan"),
        (["--out", "absent/lines.jsonl"], "there is no directory absent"),
        (["--out", "x.jsonl", "--log", "sqlite"], "--out and --log"),
    ],
)
def test_what_cannot_be_is_refused_with_exit_2(arguments, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_start_is_the_time_of_the_first_lines():
    result = run("--accounts", "500", "--rate", "20", "--for", "30s", "--start", "2026-01-02T03:04:05+01:00")
    line = orjson.loads(result.stdout_bytes.splitlines()[0])
    assert 0 <= line["time_us"] - 1_767_319_445_000_000 < 5_000_000


def test_a_reader_that_has_had_enough_ends_it_quietly():
    command = [str(Path(sys.executable).with_name("starlingd")), "simulate", *SMALL[:4], "--for", "10h"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (0, b"")


def test_help_has_examples():
    assert "--plant cascade,burst" in run("--help").stdout
