"""What the live sources share: a socket's frames become deliveries, a few hundred at a time, and nothing is unsaid."""

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final
from urllib.parse import urlsplit

import structlog

from consumers.scoring import Scorer, load_scorer
from consumers.sources import Delivery, Gap, SourceError
from consumers.sources.decoding.reading import MalformedError, Reading, reject
from consumers.sources.websocket import Connected, Item, Refused, Socket, SocketOptions, SocketStats

log = structlog.get_logger()

BATCH: Final = 500
STEPPED_OVER: Final = "stepped_over"
"""The cause of a gap made by resuming beyond a frame that cannot be received: others may have gone with it."""

_SCHEMES: Final = {"": "wss", "ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


@dataclass(slots=True)
class SourceStats(SocketStats):
    """What happened to a live source since the start: notices by name, gaps by cause, seqs begun anew."""

    notices: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    resets: int = 0
    oversize: int = 0


def system_clock() -> int:
    """Return the present, µs since the epoch."""
    return time.time_ns() // 1000


def endpoint(host: str) -> tuple[str, str]:
    """Return `scheme://host` for websockets, and the host, of `host`, `host:port` or a URL; TLS unless it says no."""
    parts = urlsplit(host if "://" in host else f"//{host}")
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise SourceError(f"The source host {host!r} is not one; write a name, name:port, or ws(s)://name:port.")
    return f"{scheme}://{parts.netloc}", parts.netloc


class LiveSource(ABC):
    """A source on a socket. `stats` is for metrics; `deliveries` goes on until it is closed or cancelled."""

    def __init__(
        self,
        protocol: str,
        host: str,
        *,
        score: Scorer | None = None,
        options: SocketOptions | None = None,
        now: Callable[[], int] = system_clock,
        random: Random | None = None,
        check_cids: bool = False,
    ) -> None:
        """Raises `SourceError` where `host` is not one."""
        self._url, where = endpoint(host)
        self._options = options or SocketOptions()
        self._now = now
        self._random = random
        self._reading = Reading(f"{protocol}:{where}", 0, score or load_scorer(), check_cids=check_cids)
        self.stats = SourceStats()

    @property
    def name(self) -> str:
        """The source id, `protocol:host`."""
        return self._reading.src

    @property
    def starts_at_times(self) -> bool:
        """Whether the host can be asked for what came since a time: places on one host say nothing to another."""
        return True

    async def deliveries(self, cursor: int | None, *, since: int | None = None) -> AsyncIterator[Delivery]:
        """Yield deliveries from after `cursor`, or the time `since`, µs, where the host knows times, or from now on."""
        self._begin(cursor, since)
        async with Socket(self._address, self._options, self.stats, self._random) as socket:
            while True:
                delivery = Delivery()
                items = await socket.take(BATCH)
                self._reading.at(self._now())
                for item in items:
                    self._take(item, delivery)
                delivery.cursor = self._cursor
                if delivery.frames or delivery.gaps:
                    yield delivery

    def _take(self, item: Item, into: Delivery) -> None:
        """Account for one thing that the socket brought."""
        if isinstance(item, bytes):
            if len(item) > self._options.max_frame_bytes:
                self._oversize(into, len(item))
            else:
                self._frame(item, into)
        elif isinstance(item, Connected):
            self._connected()
        elif isinstance(item, Refused):
            log.warning("source_refused", source=self.name, status=item.status)
            self._refused(item)
        else:
            self._oversize(into, self._options.hard_frame_bytes)
            self._step_over()

    def _oversize(self, into: Delivery, size: int) -> None:
        """Reject a frame for its size."""
        into.frames += 1
        into.operations += 1
        self.stats.oversize += 1
        error = MalformedError("oversize_frame", f"{size} bytes or more, over {self._options.max_frame_bytes}")
        reject(into, self._reading, error, self._cursor or 0, size)
        self._unread()

    def _say(self, into: Delivery, gap: Gap | None) -> None:
        """Add a gap to a delivery."""
        if gap is not None:
            into.gaps.append(gap)
            self.stats.gaps[gap.cause] += 1
            log.warning("source_gap", source=self.name, cause=gap.cause, start=gap.start, end=gap.end)

    @property
    @abstractmethod
    def _cursor(self) -> int | None:
        """Where to resume."""

    @abstractmethod
    def _begin(self, cursor: int | None, since: int | None) -> None:
        """Start from a cursor, or else from a time."""

    @abstractmethod
    def _address(self) -> str:
        """Return the URL to connect to, with the newest cursor."""

    @abstractmethod
    def _frame(self, frame: bytes, into: Delivery) -> None:
        """Decode a frame and move to its place."""

    @abstractmethod
    def _connected(self) -> None:
        """Note that a new connection's frames follow."""

    @abstractmethod
    def _refused(self, refusal: Refused) -> None:
        """Note that the host refused the handshake."""

    @abstractmethod
    def _unread(self) -> None:
        """Note that a frame had no place that could be read."""

    @abstractmethod
    def _step_over(self) -> None:
        """Resume beyond the next frame: it cannot be received."""
