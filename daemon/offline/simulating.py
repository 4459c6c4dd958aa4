"""Where a simulation goes: lines to a stream, or agent events into a log, with progress on a terminal."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import IO

import orjson
from rich.console import Console
from rich.progress import Progress

from consumers.bridge.bridge import Bridge
from consumers.sources import Delivery
from consumers.sources.simulator import SimulatedSource
from daemon.config.model import Config
from daemon.service.building import log_of, topics_of

_SECOND_US = 1_000_000
_QUIET_S = 2.0
"""Progress is only shown for what takes longer."""


async def write_lines(source: SimulatedSource, stream: IO[bytes], tell: Callable[[int], None]) -> None:
    """Write every line; stop quietly when whoever reads stdout has had enough."""
    try:
        async for piece in source.slices():
            stream.write(b"\n".join(piece.lines) + b"\n")
            if source.speed is not None:
                stream.flush()
            tell(int(piece.moments[-1]))
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def append_events(source: SimulatedSource, config: Config, tell: Callable[[int], None]) -> bytes:
    """Carry the simulation into the configured log; return what became of it as one JSON line.

    What the log holds of the same seed already is not written again.
    """
    began = time.monotonic()
    topics, wanted = topics_of(config)
    async with log_of(config) as log:
        await log.ensure(wanted)
        bridge = Bridge(
            _Told(source, tell), log, topics, config.log.partitions, None, now=lambda: time.time_ns() // 1000
        )
        await bridge.run(asyncio.Event())
    stats = bridge.stats
    summary = {
        "lines": stats.frames,
        "events": stats.events.total(),
        "duplicates": stats.duplicates,
        "seconds": round(time.monotonic() - began, 3),
    }
    return orjson.dumps(summary, option=orjson.OPT_APPEND_NEWLINE)


class _Told:
    """A simulation that tells each moment it has come to."""

    def __init__(self, source: SimulatedSource, tell: Callable[[int], None]) -> None:
        self._source = source
        self._tell = tell

    @property
    def name(self) -> str:
        return self._source.name

    async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        async for delivery in self._source.deliveries(cursor):
            self._tell(delivery.cursor or 0)
            yield delivery


@contextlib.contextmanager
def progress(source: SimulatedSource) -> Iterator[Callable[[int], None]]:
    """Yield what is told each moment reached; it shows a bar on a terminal once the work takes a while."""
    console = Console(stderr=True)
    if not console.is_terminal or source.duration is None:
        yield lambda _moment: None
        return
    began = time.monotonic()
    bar = Progress(console=console, transient=True)
    task = bar.add_task("simulating", total=source.duration)

    def tell(moment: int) -> None:
        if not bar.live.is_started and time.monotonic() - began > _QUIET_S:
            bar.start()
        bar.update(task, completed=(moment - source.start) / _SECOND_US)

    try:
        yield tell
    finally:
        bar.stop()


def culprits_document(source: SimulatedSource) -> bytes:
    """Return who did what as one JSON document."""
    plants = [
        {
            "phenomenon": who.phenomenon,
            "indicator": who.indicator,
            "start": who.start,
            "end": who.end,
            "dids": who.dids,
        }
        for who in source.culprits
    ]
    document = {"accounts": source.accounts, "seed": source.seed, "plants": plants}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
