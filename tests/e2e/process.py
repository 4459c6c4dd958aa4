"""A daemon as a process of its own, as an operator runs it: started, asked over HTTP, stopped or killed."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import orjson

COMMAND = Path(sys.executable).with_name("starlingd")
MAIN = "from daemon.commands import main; main()"
PATIENCE = 120.0
"""Seconds until something that must happen is given up; nothing is asserted about how long it took."""


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without settings of the daemon, and with those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STARLINGD_")}
    return {**kept, "OMP_NUM_THREADS": "1", **(given or {})}


def refused(*arguments: str, given: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command to its end; return exit status, stdout and stderr."""
    done = subprocess.run(
        [COMMAND, *arguments], env=environment(given), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.returncode, done.stdout, done.stderr


class Process(Protocol):
    """What a daemon's process is asked and told."""

    pid: int

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...

    def send_signal(self, kind: signal.Signals) -> None: ...


class Daemon:
    """`starlingd run` with these flags, logging JSON into a file of `directory`. Killed, at the latest, on leaving.

    `program` is Python to run before the command line's own `main`.
    """

    def __init__(self, directory: Path, *flags: str, program: str | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.state = directory / "state"
        self._told = directory / f"stderr-{len(list(directory.glob('stderr-*')))}.jsonl"
        self._command = [COMMAND] if program is None else [sys.executable, "-c", f"{program}\n{MAIN}"]
        self._arguments = ["run", "--state-dir", self.state, "--port", "0", "--log-format", "json", *flags]

    def __enter__(self) -> Self:
        self.process = self._begin()
        return self

    def _begin(self) -> Process:
        with self._told.open("wb") as told:
            return subprocess.Popen([*self._command, *self._arguments], env=environment(), stderr=told)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        if error is not None:
            sys.stderr.write(self.told)

    @property
    def told(self) -> str:
        """All that it wrote to stderr."""
        return self._told.read_text("utf-8")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return its log lines of one event."""
        lines = [orjson.loads(line) for line in self.told.splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if line["event"] == name]

    def wait_for(self, ready: Callable[[], Any]) -> Any:
        """Return what `ready` returns as soon as it is true; fail when the process ends before."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := ready():
                return found
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.told}"
            time.sleep(0.05)
        raise AssertionError(f"nothing came within {PATIENCE:g} s: {self.told}")

    @property
    def address(self) -> str:
        """Where it listens."""
        address: str = self.wait_for(lambda: self.events("listening"))[0]["address"]
        return address

    def ask(self, path: str) -> tuple[int, bytes]:
        """GET a path; return status and body."""
        try:
            with urllib.request.urlopen(f"{self.address}{path}", timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def json(self, path: str) -> Any:
        """GET a path that must answer 200 with JSON."""
        status, body = self.ask(path)
        assert status == 200, body
        return orjson.loads(body)

    def run_after(self, end: int = 0) -> dict[str, Any]:
        """Wait for a run of a window that ends later than this; return its record."""

        def newer() -> dict[str, Any] | None:
            status, body = self.ask("/api/v1/runs/latest")
            record: dict[str, Any] = orjson.loads(body)
            return record if status == 200 and record["end"] > end else None

        found: dict[str, Any] = self.wait_for(newer)
        return found

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and return its exit status."""
        self.process.send_signal(kind)
        return self.process.wait(PATIENCE)

    def finish(self, patience: float = PATIENCE) -> int:
        """Return its exit status when it ends by itself."""
        return self.process.wait(patience)
