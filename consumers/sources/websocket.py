"""A websocket that comes back: connects, reads, reconnects with jittered backoff, for ever. Nothing it meets ends it.

Frames wait in a bounded queue. While it is full the socket is not read, so the host is slowed and memory is bounded;
unasked pongs keep the connection alive meanwhile (RFC 6455 §5.5.3), and a host that gives up all the same is resumed
from the cursor. Before it reconnects, all frames at hand are worked off: the address then holds the newest cursor.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Final, Self

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from consumers.sources.frame_queue import FrameQueue

log = structlog.get_logger()

TOO_BIG: Final = 1009
KNOWN_CLOSES: Final = frozenset({1000, 1001, 1002, 1003, 1006, 1007, 1008, TOO_BIG, 1011, 1012, 1013})
USER_AGENT: Final = "starlingd"


@dataclass(slots=True, frozen=True)
class SocketOptions:
    """Bounds and delays of a socket; seconds and bytes."""

    queue_frames: int = 10_000
    queue_bytes: int = 64 << 20
    max_frame_bytes: int = 5_242_880
    """A larger frame is rejected and the stream goes on after it."""
    hard_frame_bytes: int = 64 << 20
    """A larger one is not even received: the connection is dropped and resumed beyond it."""
    stall_after: float = 60.0
    backoff_first: float = 0.5
    backoff_most: float = 60.0
    steady_after: float = 10.0
    """A connection that lived this long starts the backoff anew."""
    open_timeout: float = 15.0
    heartbeat: float = 15.0
    compression: bool = True


@dataclass(slots=True)
class SocketStats:
    """What happened to a socket since the start. `last_frame` is of the monotonic clock, None before the first."""

    connects: int = 0
    disconnects: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    bytes: int = 0
    queued_frames: int = 0
    queued_bytes: int = 0
    paused: int = 0
    last_frame: float | None = None
    connected: bool = False


@dataclass(slots=True, frozen=True)
class Connected:
    """A connection stands; frames of it follow."""


@dataclass(slots=True, frozen=True)
class Refused:
    """The host answered the handshake with an HTTP error; `body` is its beginning."""

    status: int
    body: bytes


@dataclass(slots=True, frozen=True)
class TooBig:
    """A frame over the hard limit ended the connection, unread."""


Item = bytes | Connected | Refused | TooBig


class Socket(AbstractAsyncContextManager["Socket"]):
    """A websocket whose frames are taken in batches. `address` gives the URL, with the cursor, for each connection."""

    def __init__(
        self, address: Callable[[], str], options: SocketOptions, stats: SocketStats, random: Random | None = None
    ) -> None:
        self._address = address
        self._options = options
        self._stats = stats
        self._random = random or Random()  # noqa: S311 - jitter, not a secret
        self._queue: FrameQueue[Item] = FrameQueue(options.queue_frames, options.queue_bytes)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start connecting."""
        self._task = asyncio.create_task(self._run(), name="websocket")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop the connection and what is queued."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._stats.connected = False

    async def take(self, most: int) -> list[Item]:
        """Return what is queued, oldest first, waiting for the first; raises what ended the reading, if anything."""
        assert self._task is not None
        taking = asyncio.ensure_future(self._queue.take(most))
        try:
            await asyncio.wait({taking, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                self._task.result()
            items = await taking
        finally:
            taking.cancel()
        self._measure()
        return items

    async def _run(self) -> None:
        """Connect, read, and do it again, until cancelled."""
        attempt = 0
        while True:
            began = time.monotonic()
            cause = await self._connection()
            self._stats.connected = False
            self._stats.disconnects[cause] += 1
            attempt = 0 if time.monotonic() - began >= self._options.steady_after else attempt + 1
            delay = min(self._options.backoff_most, self._options.backoff_first * 2.0 ** min(attempt - 1, 30))
            delay *= self._random.uniform(0.5, 1.0)
            log.info("websocket_lost", cause=cause, retry_in=round(delay, 2))
            await asyncio.sleep(delay)
            await self._queue.idle()

    async def _connection(self) -> str:
        """Read one connection to its end; return why it ended."""
        options = self._options
        try:
            async with connect(
                self._address(),
                compression="deflate" if options.compression else None,
                open_timeout=options.open_timeout,
                close_timeout=1.0,
                ping_interval=None,
                max_size=options.hard_frame_bytes,
                max_queue=64,
                user_agent_header=USER_AGENT,
            ) as socket:
                self._stats.connects += 1
                self._stats.connected = True
                self._queue.put(Connected())
                return await self._read(socket)
        except InvalidStatus as error:
            self._queue.put(Refused(error.response.status_code, bytes(error.response.body or b"")[:4096]))
            return f"http_{error.response.status_code // 100}xx"
        except TimeoutError:
            return "timeout"
        except OSError:
            return "unreachable"
        except WebSocketException:
            return "protocol"

    async def _read(self, socket: ClientConnection) -> str:
        """Queue the frames of a connection until it ends; return why it did."""
        watch = asyncio.create_task(self._watch(socket))
        try:
            while True:
                frame = await socket.recv(decode=False)
                self._stats.frames += 1
                self._stats.bytes += len(frame)
                self._stats.last_frame = time.monotonic()
                self._queue.put(bytes(frame))
                self._measure()
                if self._queue.full:
                    await self._pause(socket)
        except ConnectionClosed as error:
            if watch.done():
                return "stall"
            if error.sent is not None and error.sent.code == TOO_BIG:
                self._queue.put(TooBig())
                return "oversize_frame"
            code = error.rcvd.code if error.rcvd is not None else 1006
            return f"close_{code}" if code in KNOWN_CLOSES else "close_other"
        finally:
            watch.cancel()

    async def _pause(self, socket: ClientConnection) -> None:
        """Leave the socket unread until there is room, saying now and then that we are alive."""
        self._stats.paused += 1
        while self._queue.full:
            try:
                async with asyncio.timeout(self._options.heartbeat):
                    await self._queue.room()
            except TimeoutError:
                await socket.pong()
        self._stats.last_frame = time.monotonic()

    async def _watch(self, socket: ClientConnection) -> None:
        """Drop a connection on which no frame came for `stall_after`; time in which we did not read does not count."""
        opened = time.monotonic()
        while True:
            last = max(opened, self._stats.last_frame or opened)
            left = last + self._options.stall_after - time.monotonic()
            if self._queue.full:
                left = self._options.stall_after
            if left <= 0:
                socket.transport.abort()
                return
            await asyncio.sleep(left)

    def _measure(self) -> None:
        self._stats.queued_frames = len(self._queue)
        self._stats.queued_bytes = self._queue.bytes
