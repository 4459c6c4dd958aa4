"""Whether the daemon lives and is ready, and the watchdog that says where it stands when it does not.

Alive means that every loop advances: each beats, and none may be silent longer than its limit. Ready means that
what is asked of it would be answered with fresh data. Both answer with reasons, none when all is well.
"""

import faulthandler
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

Clock = Callable[[], float]
Condition = Callable[[], str | None]
"""Returns why the daemon is not ready, or None."""


@dataclass(slots=True)
class _Pulse:
    limit: float
    last: float


@dataclass(slots=True)
class Health:
    """Beats of the loops and conditions of readiness. `clock` is monotonic, in seconds; beats may come from threads."""

    clock: Clock = time.monotonic
    _pulses: dict[str, _Pulse] = field(default_factory=dict)
    _conditions: list[Condition] = field(default_factory=list)

    def watch(self, loop: str, limit: float) -> Callable[[], None]:
        """Expect a beat of a loop at least every `limit` seconds from now on; return the function that beats."""
        pulse = self._pulses[loop] = _Pulse(limit, self.clock())

        def beat() -> None:
            pulse.last = self.clock()

        return beat

    def forget(self, loop: str) -> None:
        """Expect no more beats of a loop that has ended."""
        self._pulses.pop(loop, None)

    def require(self, condition: Condition) -> None:
        """Make readiness depend on a condition."""
        self._conditions.append(condition)

    def stuck(self) -> list[str]:
        """Return why the daemon is not alive: one sentence for each loop that is silent too long."""
        now = self.clock()
        return [
            f"the {loop} has not advanced for {now - pulse.last:.0f} s (limit {pulse.limit:.0f} s)"
            for loop, pulse in list(self._pulses.items())
            if now - pulse.last > pulse.limit
        ]

    def unready(self) -> list[str]:
        """Return why the daemon is not ready: it is stuck, or a condition is not met."""
        return self.stuck() + [reason for condition in self._conditions if (reason := condition())]


class Watchdog:
    """A thread of its own, since a blocked event loop cannot see that it is blocked.

    When a loop gets stuck it writes what is stuck and every thread's stack to `out`, once until all move again.
    """

    def __init__(self, health: Health, *, every: float = 1.0, out: TextIO | None = None) -> None:
        """Look every so many seconds; `out` needs a file descriptor."""
        self._health, self._every, self._out = health, every, out or sys.__stderr__ or sys.stderr
        self._stop = threading.Event()
        self._told = False
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def look(self) -> bool:
        """Look once; return whether stacks were written."""
        reasons = self._health.stuck()
        tell = bool(reasons) and not self._told
        self._told = bool(reasons)
        if tell:
            self._out.write(f"starlingd is stuck: {'; '.join(reasons)}. Every thread's stack:\n")
            self._out.flush()
            faulthandler.dump_traceback(self._out, all_threads=True)
        return tell

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.look()
