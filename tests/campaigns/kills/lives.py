"""Lives of the daemon that begin at once: forked from a process that has imported all that they need, and done no more.

A life is a process of its own, with its own files, sockets and threads, and dies by SIGKILL as any other. It is spared
the seconds that importing takes, so that a thousand deaths are a matter of minutes.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from daemon.commands import main
from tests.e2e.process import Daemon

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.campaigns.kills.warm"])
_TURN = threading.Lock()
"""Whoever starts a process asks after all others too, and how one ended is told once: so only one thread may ask."""


class Life(Daemon):
    """A daemon that is forked; `prepare`, a function that can be pickled, is called in it before its main."""

    def __init__(self, directory: Path, *flags: str, prepare: Callable[[], None] | None = None) -> None:
        super().__init__(directory, *flags)
        self._prepare = prepare

    def _begin(self) -> "Forked":
        self._told.touch()
        arguments = (list(map(str, self._arguments)), self._told, self._prepare)
        return Forked(_CONTEXT.Process(target=live, args=arguments, daemon=True))


def live(arguments: list[str], told: Path, prepare: Callable[[], None] | None) -> None:
    """Be the command line's process."""
    with told.open("ab") as stderr:
        os.dup2(stderr.fileno(), 2)
    sys.argv = ["starlingd", *arguments]
    if prepare:
        prepare()
    main()


class Forked:
    """A forked process as `Daemon` handles one."""

    def __init__(self, process: BaseProcess) -> None:
        with _TURN:
            process.start()
        assert process.pid is not None
        self.pid: int = process.pid
        self._process = process

    @property
    def returncode(self) -> int | None:
        with _TURN:
            return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"it did not end within {timeout:g} s")
            time.sleep(0.01)
        return code

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, kind: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, kind)
