"""An ordered list of hosts as one source: when one falls silent the next is read, and the first again once it is back.

Hosts number their frames each in its own way, so each host's events keep its own source id, and what two hosts both
give is told as a repeat by its identity downstream. Jetstreams are asked for what came since a time, so that nothing
is missed; a relay cannot be, and the time between is said as the gap `host_change`. The way back to the first host
has no gap: the two are read side by side until the first has begun.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import structlog

from consumers.sources import Delivery, Gap, SourceError
from consumers.sources.live import LiveSource, SourceStats, system_clock

log = structlog.get_logger()

HOST_CHANGE: Final = "host_change"
PLACES: Final = 1 << 60
"""A cursor is the host's own cursor plus this many times the host's position in the list."""

MOST_HOSTS: Final = 8


class FailoverSource:
    """The hosts of one protocol, the preferred one first."""

    def __init__(
        self,
        hosts: Sequence[LiveSource],
        *,
        patience: float = 60.0,
        return_after: float = 600.0,
        now: Callable[[], int] = system_clock,
    ) -> None:
        """`patience`: seconds of silence before the next host is tried. `return_after`: before the first is again."""
        if not 1 <= len(hosts) <= MOST_HOSTS:
            raise SourceError(f"There are {len(hosts)} hosts to choose from; list one to {MOST_HOSTS}.")
        self._hosts = list(hosts)
        self._patience = patience
        self._return_after = round(return_after * 1_000_000)
        self._now = now
        self._changes = 0
        self._newest = 0

    @property
    def stats(self) -> SourceStats:
        """What happened to all hosts together; `gaps` has the changes between them too."""
        whole = SourceStats()
        for stats in (host.stats for host in self._hosts):
            for counter in (
                "connects",
                "frames",
                "bytes",
                "queued_frames",
                "queued_bytes",
                "paused",
                "resets",
                "oversize",
            ):
                setattr(whole, counter, getattr(whole, counter) + getattr(stats, counter))
            for counted in ("disconnects", "notices", "gaps"):
                getattr(whole, counted).update(getattr(stats, counted))
            whole.connected = whole.connected or stats.connected
            whole.last_frame = max(filter(None, (whole.last_frame, stats.last_frame)), default=None)
        if self._changes:
            whole.gaps[HOST_CHANGE] = self._changes
        return whole

    @property
    def name(self) -> str:
        """The source id: the protocol and all hosts."""
        protocol = self._hosts[0].name.partition(":")[0]
        return f"{protocol}:{','.join(host.name.partition(':')[2] for host in self._hosts)}"

    async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        """Yield deliveries from after `cursor`, or from now on, of whichever host gives any."""
        index, place = (0, None) if cursor is None else divmod(cursor, PLACES)
        if index >= len(self._hosts):
            index, place = 0, None
        stream = _Stream(self._hosts[index], index, place, None)
        tried = self._now()
        anchor = stream.index, place
        try:
            while True:
                delivery = await stream.next(self._patience)
                if delivery is None:
                    await stream.close()
                    stream = self._next(stream.index, anchor)
                    tried = self._now()
                    continue
                yield self._stamped(stream, delivery)
                anchor = stream.index, delivery.cursor
                if stream.index and self._now() - tried >= self._return_after:
                    tried = self._now()
                    first = _Stream(self._hosts[0], 0, None, self._newest or None)
                    async for last in self._handover(stream, first):
                        yield last
                    stream, left = (first, stream) if first.begun else (stream, first)
                    await left.close()
        finally:
            await stream.close()

    def _next(self, index: int, anchor: tuple[int, int | None]) -> "_Stream":
        """Turn to the host after a silent one; a host that nobody has read past since goes on from its own cursor."""
        index = (index + 1) % len(self._hosts)
        place = anchor[1] if anchor[0] == index else None
        log.warning("source_host_change", source=self._hosts[index].name)
        return _Stream(self._hosts[index], index, place, self._newest or None)

    async def _handover(self, old: "_Stream", first: "_Stream") -> AsyncIterator[Delivery]:
        """Read the old host until the first one has begun and the old one has reached that point."""
        begun = await first.peek(self._patience)
        if begun is None:
            return
        start = begun.events[0].t if begun.events else self._newest
        deadline = self._now() + round(self._patience * 1_000_000)
        while self._newest < start and self._now() < deadline:
            delivery = await old.next(self._patience)
            if delivery is None:
                break
            yield self._stamped(old, delivery)
        first.begun = True
        log.info("source_host_return", source=first.source.name)

    def _stamped(self, stream: "_Stream", delivery: Delivery) -> Delivery:
        """Make a host's delivery one of ours: its cursor, and the gap before its first events, if there is one."""
        if delivery.cursor is not None:
            delivery.cursor += stream.index * PLACES
        if delivery.events:
            first = delivery.events[0].t
            if stream.fresh and not stream.source.starts_at_times and 0 < self._newest < first:
                delivery.gaps.insert(0, Gap(self._newest, first, HOST_CHANGE))
                self._changes += 1
            stream.fresh = False
            # One wrong clock upstream must not make the next host begin where the stream has yet to come.
            self._newest = max(self._newest, min(self._now(), max(event.t for event in delivery.events)))
        return delivery


@dataclass(slots=True)
class _Stream:
    """One host being read. `fresh`: it does not go on from its own cursor and nothing has come of it yet."""

    source: LiveSource
    index: int
    place: int | None
    since: int | None
    fresh: bool = False
    begun: bool = False
    _deliveries: AsyncGenerator[Delivery, None] | None = None
    _pending: "asyncio.Task[Delivery] | None" = None

    async def peek(self, patience: float) -> Delivery | None:
        """Return the next delivery and keep it; None after `patience` seconds of silence."""
        if self._deliveries is None:
            self.fresh = self.place is None
            self._deliveries = cast(
                "AsyncGenerator[Delivery, None]", self.source.deliveries(self.place, since=self.since)
            )
        if self._pending is None:
            self._pending = asyncio.ensure_future(anext(self._deliveries))
        await asyncio.wait({self._pending}, timeout=patience)
        return self._pending.result() if self._pending.done() else None

    async def next(self, patience: float) -> Delivery | None:
        """Return the next delivery; None after `patience` seconds of silence."""
        delivery = await self.peek(patience)
        if delivery is not None:
            self._pending = None
        return delivery

    async def close(self) -> None:
        """Stop reading."""
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.gather(self._pending, return_exceptions=True)
        if self._deliveries is not None:
            await self._deliveries.aclose()
