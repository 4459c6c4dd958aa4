"""What cannot be started as asked: one sentence on stderr, exit 2, nothing left behind."""

import socket
from pathlib import Path

import pytest

from tests.e2e.process import Daemon, refused

SIMULATED = ("--source", "simulator", "--set", "source.simulator.accounts=500", "--port", "0")


def assert_refused(sentence: str, *arguments: str, **options: dict[str, str]) -> None:
    status, out, err = refused(*arguments, given=options.get("environ"))
    assert (status, out) == (2, "")
    assert err.startswith("starlingd: ")
    assert err.count("\n") == 1
    assert sentence in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "windows.lenght=1h"], "--set windows.lenght: there is no setting 'lenght' in [windows]"),
        (["--set", "engine.indicators=mood"], "engine.indicators: there is no indicator 'mood'"),
        (["--set", "scorer=mood"], "There is no scorer 'mood'"),
        (["--config", "absent.toml"], "absent.toml cannot be read: no such file or directory"),
        (["--role", "bridge"], "--role bridge needs a log that processes share: set log.kind to kafka"),
        (["--source", "recording", "--set", "source.paths=absent.jsonl"], "absent.jsonl cannot be read"),
        (["--set", "checkpoints.directory=nothing://x"], "checkpoints.directory: nothing://x is no place that fsspec"),
        (["--set", "checkpoints.directory=s3://k:pw@b/x"], "directory: a password in it would be printed"),
        (["--source", "relay", "--hosts", "a/b"], "The source host 'a/b' is not one"),
    ],
)
def test_a_wrong_configuration(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    assert_refused(sentence, "run", "--state-dir", str(tmp_path / "state"), *SIMULATED, *arguments)
    assert not (tmp_path / "state").exists()


def test_a_wrong_variable(tmp_path: Path) -> None:
    arguments = ("run", "--state-dir", str(tmp_path / "state"), *SIMULATED)
    assert_refused("STARLINGD_LGO__KIND: there is no setting 'lgo'", *arguments, environ={"STARLINGD_LGO__KIND": "x"})


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        arguments = ("run", "--state-dir", str(tmp_path / "state"), *SIMULATED, "--port", port)
        assert_refused(f"127.0.0.1:{port} is taken by another process", *arguments)
    assert not list((tmp_path / "state").glob("log*"))


def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    broker = f"127.0.0.1:{port}"
    arguments = ("run", "--state-dir", str(tmp_path), *SIMULATED, "--log", "kafka", "--bootstrap", broker)
    assert_refused(broker, *arguments)


def test_a_state_directory_that_another_daemon_has(tmp_path: Path) -> None:
    with Daemon(tmp_path, *SIMULATED) as daemon:
        assert daemon.address
        arguments = ("run", "--state-dir", str(daemon.state), *SIMULATED)
        assert_refused("another starlingd has the bridge role", *arguments)
