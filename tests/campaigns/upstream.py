"""The simulated network behind a Jetstream, v1 or v2, on loopback that has the manners of a real one, and worse.

It gives its lines up to a place that the campaign moves on, so that a campaign is as long as its kills and not as the
machine is slow. Connections end at random, and lines come again: stretches of them, on top of what a client that
reconnects asks for anyway. Times step back from line to line, as the simulator has it; v2's seqs number the lines.
"""

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from types import TracebackType
from typing import Literal, Self

import orjson
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from consumers.sources.simulator import SimulatedSource
from tests.servers.fake_host import FakeHost

Protocol = Literal["jetstream1", "jetstream2"]

_PIECE = 20


def simulated(seed: int, seconds: float, rate: float, accounts: int = 400) -> list[bytes]:
    """Return the lines of a small network over some seconds of its time."""
    source = SimulatedSource(accounts=accounts, seed=seed, rate=rate, duration=seconds)
    return [line for chunk in source.chunks() for line in chunk.lines]


def as_v2(line: bytes, seq: int) -> bytes:
    """Return a line of v1 as the message that v2 would send."""
    told = orjson.loads(line)
    kind = told["kind"]
    t = told["time_us"]
    time = datetime.fromtimestamp(t // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{t % 1_000_000:06d}Z"
    payload = {"$type": f"network.bsky.jetstream.subscribeEvents#{kind}", "seq": seq, "did": told["did"], "time": time}
    payload |= told["commit"] if kind == "commit" else {kind: told[kind]}
    return orjson.dumps({"$type": "message", "payload": payload})


@dataclass
class Upstream:
    """Serves lines in a thread of its own, up to the `released` one."""

    lines: Sequence[bytes]
    seed: int
    protocol: Protocol = "jetstream1"
    released: int = 0
    repeated: int = 0
    """Lines sent a second time on one connection."""
    dropped: int = 0
    """Connections that this host ended."""
    address: str = ""
    _ready: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._sent = self.lines
        self._places = [orjson.loads(line)["time_us"] for line in self.lines]
        if self.protocol == "jetstream2":
            self._places = list(range(1, len(self.lines) + 1))
            self._sent = [as_v2(line, seq) for line, seq in zip(self.lines, self._places, strict=True)]
        self._reached = list(accumulate(self._places, max))
        self._random = Random(self.seed)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="upstream")

    @property
    def last_cursor(self) -> int:
        """The cursor of a client that has read everything."""
        return self._reached[-1]

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
        at = bisect_left(self._reached, cursor or 0)
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
        for line in self._sent[first:last]:
            await connection.send(line.decode())
