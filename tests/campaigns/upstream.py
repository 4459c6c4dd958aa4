"""The simulated network behind a Jetstream v1 on loopback that has the manners of a real one, and worse.

It gives its lines up to a place that the campaign moves on, so that a campaign is as long as its kills and not as the
machine is slow. Connections end at random, and lines come again: stretches of them, on top of what a client that
reconnects asks for anyway. `time_us` steps back from line to line, as the simulator has it.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Self

import orjson
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from consumers.sources.simulator import SimulatedSource
from tests.servers.fake_host import FakeHost

_PIECE = 20


def simulated(seed: int, seconds: float, rate: float, accounts: int = 400) -> list[bytes]:
    """Return the lines of a small network over some seconds of its time."""
    source = SimulatedSource(accounts=accounts, seed=seed, rate=rate, duration=seconds)
    return [line for chunk in source.chunks() for line in chunk.lines]


@dataclass
class Upstream:
    """Serves lines in a thread of its own, up to the `released` one."""

    lines: Sequence[bytes]
    seed: int
    released: int = 0
    repeated: int = 0
    """Lines sent a second time on one connection."""
    dropped: int = 0
    """Connections that this host ended."""
    address: str = ""
    _ready: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._times = [orjson.loads(line)["time_us"] for line in self.lines]
        self._random = Random(self.seed)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="upstream")

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    async def _serve(self) -> None:
        async with FakeHost([self._act]) as host:
            self.address = host.address
            self._ready.set()
            await asyncio.to_thread(self._stop.wait)

    async def _act(self, connection: ServerConnection, cursor: int | None) -> None:
        """Send from the first line at or after the cursor; without one, from the beginning."""
        at = next((place for place, t in enumerate(self._times) if t >= (cursor or 0)), len(self.lines))
        left = self._random.randrange(200, 3_000)
        try:
            while not self._stop.is_set():
                upto = min(at + _PIECE, self.released)
                if upto <= at:
                    await asyncio.sleep(0.01)
                    continue
                if self._random.random() < 0.05:
                    back = self._random.randrange(1, 100)
                    await self._send(connection, max(0, at - back), at)
                    self.repeated += min(at, back)
                await self._send(connection, at, upto)
                left -= upto - at
                at = upto
                if left <= 0 and at < len(self.lines):
                    self.dropped += 1
                    connection.transport.abort()
                    return
        except ConnectionClosed:
            return

    async def _send(self, connection: ServerConnection, first: int, last: int) -> None:
        for line in self.lines[first:last]:
            await connection.send(line.decode())
