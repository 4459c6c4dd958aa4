"""The processes of a kill campaign: each life of one is planned to end at a moment of chance, and a new one follows."""

import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from tests.campaigns.kills import fuses
from tests.campaigns.kills.lives import Life
from tests.servers.kafka import Kafka

ANY = "any"
"""The moment of a kill by the clock."""

_MOST = {"claim": 1, "cursor": 2}
"""How often a step is taken before the fuse burns, at most, where that is not three times: a life must get there."""

_PATIENCE = 4.0
"""Seconds after which a fuse that has not burnt is given up, and the process killed where it is."""


@dataclass
class Part:
    """One role, lived again and again in one directory."""

    name: str
    folder: Path
    flags: tuple[str, ...]
    steps: tuple[str, ...]
    random: Random
    ended_in: str = ""
    """The step in which the last life was killed."""
    restarts: int = 0
    deaths: list[str] = field(default_factory=list)
    """What it said when it ended by itself."""
    daemon: Life | None = None

    def start(self, *, doomed: bool = True) -> None:
        """Begin a life; one that is not doomed has no planned end."""
        self.doomed = doomed
        self.step = self.random.choice((ANY, *self.steps)) if doomed else ""
        self._delay = self.random.uniform(0.0, 2.0)
        self._since: float | None = None
        nth = self.random.randint(1, _MOST.get(self.step, 3))
        armed = self.step not in ("", ANY)
        self.daemon = Life(self.folder, *self.flags, prepare=partial(fuses.arm, self.step, nth) if armed else None)
        self.daemon.__enter__()

    @property
    def listens(self) -> bool:
        """Whether this life has come so far."""
        if self._since is None and self.daemon is not None and '"event":"listening"' in self.daemon.told:
            self._since = time.monotonic()
        return self._since is not None

    def tick(self) -> bool:
        """Kill where it is planned; return whether this life has ended by a kill."""
        assert self.daemon is not None
        process = self.daemon.process
        step = self.step
        if process.poll() is None and self.doomed and self.listens:
            assert self._since is not None
            if time.monotonic() - self._since >= (self._delay if step == ANY else _PATIENCE):
                step = ANY
                process.kill()
                process.wait()
        if process.poll() is None:
            return False
        if process.returncode == -9:
            self.ended_in = step
            return True
        self.deaths.append(f"exit {process.returncode}: {self.daemon.told[-2_000:]}")
        self.restart()
        return False

    def restart(self) -> None:
        """Begin another life, after the last was ended by something else than a plan."""
        self.restarts += 1
        self.start(doomed=self.doomed)

    @property
    def state(self) -> Path:
        """Its state directory."""
        return self.folder / "state"

    def newest(self) -> bytes:
        """Return the newest run's record as it is told over HTTP; nothing while there is none."""
        if not self.listens or self.daemon is None:
            return b""
        try:
            status, body = self.daemon.ask("/api/v1/runs/latest")
        except OSError:
            return b""
        return body if status == 200 else b""

    def stop(self) -> int:
        """End it in order; return its exit status."""
        assert self.daemon is not None
        return self.daemon.stop()

    def end(self) -> None:
        """Kill it, if it lives, for good."""
        if self.daemon is not None:
            self.daemon.process.kill()
            self.daemon.process.wait()


class Broker:
    """A real Kafka that is killed again and again, and started in a thread while the others go on."""

    def __init__(self, kafka: Kafka, random: Random) -> None:
        self.kills = 0
        self._kafka, self._random = kafka, random
        self._starting: threading.Thread | None = None
        self._due = time.monotonic() + random.uniform(4.0, 10.0)

    @property
    def away(self) -> bool:
        """Whether it is not back yet: a process begun now would only say that it cannot be reached."""
        return self._starting is not None and self._starting.is_alive()

    def tick(self) -> bool:
        """Kill it if it is time; return whether that was done."""
        if time.monotonic() < self._due or self.away:
            return False
        self._kafka.kill()
        self.kills += 1
        self._starting = threading.Thread(target=self._return, args=(self._random.uniform(8.0, 16.0),), name="broker")
        self._starting.start()
        return True

    def _return(self, peace: float) -> None:
        """Start it again; it is left in peace for so many seconds from then on."""
        self._kafka.start()
        self._due = time.monotonic() + peace

    def settle(self) -> None:
        """Wait until it runs."""
        if self._starting:
            self._starting.join()


STEPS = {"bridge": fuses.BRIDGE, "attribute": fuses.WORKER, "all": (*fuses.BRIDGE, *fuses.WORKER)}
