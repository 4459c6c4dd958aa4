"""One host with faults, read by the real source and carried by the real bridge into a log."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

from consumers.bridge.bridge import Bridge
from consumers.events import Event
from consumers.log import Log, Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.sources import Delivery
from consumers.sources.live import LiveSource
from consumers.sources.websocket import SocketOptions
from tests.campaigns.faults.outcome import Outcome, account, cover, found_in, reckon
from tests.campaigns.faults.rows import Fault
from tests.campaigns.faults.script import Script
from tests.campaigns.faults.wires import WIRES, rev
from tests.deliveries import add
from tests.servers.fake_host import FakeHost

PARTITIONS = 3
PATIENCE = 30.0
"""Seconds without anything new after which a stream does not go on."""

QUICK = {"backoff_first": 0.01, "backoff_most": 0.05, "stall_after": 30.0, "heartbeat": 0.05, "open_timeout": 5.0}
DAY_MS = 86_400_000


class Tap:
    """A source, with what it delivered added up."""

    def __init__(self, source: LiveSource, enough: Callable[[list[Event]], bool]) -> None:
        self.source, self.heard, self.enough = source, Delivery(), asyncio.Event()
        self._is_enough = enough

    @property
    def name(self) -> str:
        return self.source.name

    async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        async with aclosing(self.source.deliveries(cursor)) as deliveries:  # type: ignore[type-var]
            async for delivery in deliveries:
                add(self.heard, delivery)
                yield delivery
                if self._is_enough(delivery.events):
                    self.enough.set()


async def carry(tap: Tap, log: Log, folder: Path) -> Bridge:
    """Carry a source into a log until it has given enough, or nothing new for a while."""
    topics = Topics()
    await log.ensure([Topic(topics.events, PARTITIONS, DAY_MS), Topic(topics.deadletters, 1, DAY_MS)])
    bridge = Bridge(tap, log, topics, PARTITIONS, folder, now=lambda: time.time_ns() // 1000)
    stop = asyncio.Event()
    carrying = asyncio.create_task(bridge.run(stop))
    waiting = asyncio.create_task(tap.enough.wait())
    try:
        frames = -1
        while frames != tap.heard.frames and not (carrying.done() or waiting.done()):
            frames = tap.heard.frames
            await asyncio.wait({carrying, waiting}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        stop.set()
        await carrying
    return bridge


async def trial(fault: Fault, protocol: str, folder: Path) -> Outcome:
    """Play one fault on one wire."""
    script, outcome = Script(WIRES[protocol]), Outcome(protocol, fault.name)
    acts = fault.play(script)
    last = rev(script.archive[-1].n)
    async with FakeHost(acts) as host, SqliteLog(folder / "log.db", synchronous="normal") as log:
        source = script.wire.source(host.address, SocketOptions(**QUICK | fault.options))
        tap = Tap(source, lambda events: any(event.rev == last for event in events))
        bridge = await carry(tap, log, folder)
        found = await found_in(log, Topics())
    outcome.check(tap.enough.is_set(), "the stream did not go on")
    outcome.connections, outcome.sent = source.stats.connects, len(host.sent)
    account(outcome, tap.heard, bridge, found)
    if fault.exact:
        reckon(outcome, bridge, script.reckon(host.sent))
    outcome.check(
        found.acted == found.met and found.acted.keys() <= script.made.keys(),
        "the log does not hold each like, and only these, for who gave and who got it",
    )
    cover(outcome, script.made, found, premature=fault.premature, slack=fault.slack * 1_000_000)
    outcome.check(
        outcome.gaps.keys() <= set(fault.causes) and bool(outcome.gaps) == bool(fault.causes),
        f"gaps of {set(outcome.gaps)}, not {fault.causes}",
    )
    return outcome
