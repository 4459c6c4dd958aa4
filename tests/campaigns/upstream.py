"""The simulated network behind a Jetstream, v1 or v2, on loopback that has the manners of a real one, and worse.

It gives its lines up to a place that the campaign moves on, so that a campaign is as long as its kills and not as the
machine is slow. Connections end at random, and lines come again: stretches of them, on top of what a client that
reconnects asks for anyway. Times step back from line to line, as the simulator has it; v2's seqs number the lines.
"""

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Literal, Self

import orjson
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from consumers.sources.simulator import SimulatedSource
from consumers.windows.shape import SECOND, Shape
from tests.campaigns.producers import Given, Producer
from tests.servers.fake_host import FakeHost

Protocol = Literal["jetstream1", "jetstream2"]

RATE = 8.0
"""Operations in a second of the network's own time."""

SECONDS_A_KILL = 6.0
"""Of the network's time."""

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


class Upstream(Producer):
    """Serves the lines of a simulated network in a thread of its own, up to the released one."""

    released: int
    """How many lines may be sent."""

    shape = Shape(length=60 * SECOND, bucket=5 * SECOND, lateness=SECOND)

    def __init__(self, lines: Sequence[bytes], seed: int, protocol: Protocol = "jetstream1") -> None:
        super().__init__()
        self.lines, self.protocol = lines, protocol
        self._sent = lines
        self._places = [orjson.loads(line)["time_us"] for line in lines]
        if protocol == "jetstream2":
            self._places = list(range(1, len(lines) + 1))
            self._sent = [as_v2(line, seq) for line, seq in zip(lines, self._places, strict=True)]
        self._reached = list(accumulate(self._places, max))
        self.released = 0
        self._random = Random(seed)
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="upstream")

    @property
    def last_cursor(self) -> int:
        """The cursor of a client that has read everything."""
        return self._reached[-1]

    @classmethod
    def of_kills(cls, kills: int, seed: int, protocol: Protocol) -> Self:
        """Return a network long enough for so many kills: a window closes with each."""
        return cls(simulated(seed, 90 + kills * SECONDS_A_KILL, RATE), seed, protocol)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def release(self, share: float) -> None:
        """Send up to this share of the lines."""
        self.released = round(len(self.lines) * share)

    def finish(self, folder: Path) -> Given:
        """Send all lines; they are recorded as v1, which is the same stream."""
        self.release(1.0)
        path = folder / "lines.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in self.lines))
        return Given(path)

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
                    self.manners["repeated"] += min(at, back)
                await self._send(connection, at, upto)
                left -= upto - at
                at = upto
                if left <= 0 and at < len(self.lines):
                    self.manners["dropped"] += 1
                    connection.transport.abort()
                    return
        except ConnectionClosed:
            return

    async def _send(self, connection: ServerConnection, first: int, last: int) -> None:
        for line in self._sent[first:last]:
            await connection.send(line.decode())
