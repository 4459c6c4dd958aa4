"""A replay: recordings through bridge, log, windows and cycle, one step after the other, the same bytes every time.

Nothing here reads a clock that could decide anything: each delivery is appended, read back and folded, and what it
closes is attributed, before the next one is taken. The log is in memory and has one partition, so that the order of
the recordings is the order of the windows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

import numpy as np
from numpy.typing import NDArray

from consumers.bridge.bridge import Bridge
from consumers.bridge.deadletters import Limits
from consumers.bridge.identity import Memory
from consumers.log import Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.snapshot import Snapshot
from consumers.sources import Source
from consumers.windows.shape import Shape
from consumers.worker.worker import Worker
from daemon.config.attributing import Engine
from daemon.runs.cycle import Cycle, Plan
from engine.columns import COLUMNS, COUNTS

_KEPT_MS = 60_000
"""How long the log keeps what was folded: each step reads all that the step appended, so it only bounds memory."""

_NO_LIMITS = Limits(per_minute=1 << 62, share=1.0, free=0, stop_share=1.0)
"""Every refused operation is a dead letter: their number is part of the answer, and they go nowhere."""


@dataclass(slots=True)
class Progress:
    """How far a replay is."""

    frames: int = 0
    events: int = 0
    runs: int = 0


@dataclass(slots=True)
class Outcome:
    """What a replay found: its counts, and the agents active in the last complete window, int32 [26, N]."""

    frames: int = 0
    events: int = 0
    duplicates: int = 0
    late: int = 0
    deadletters: int = 0
    runs: int = 0
    agents: list[str] = field(default_factory=list)
    columns: NDArray[np.int32] = field(default_factory=lambda: np.zeros((len(COLUMNS), 0), np.int32))


def plan_of(engine: Engine) -> Plan:
    """Return what a replay computes: the daemon's defaults, on the CPU, whose sums do not depend on the machine."""
    return Plan(
        indicators=tuple(engine.indicators),
        method=engine.method,
        whales=engine.whales,
        tiers=engine.tiers,
        panels=engine.panels,
        seed=engine.seed,
        device="cpu",
    )


async def replay(
    sources: Sequence[Source], shape: Shape, runs: IO[bytes] | None, told: Callable[[Progress], None]
) -> Outcome:
    """Replay sources one after the other; write each run's record to `runs` as a line. Raises SourceError."""
    topics, outcome, progress = Topics(), Outcome(), Progress()
    memory = Memory(2 * shape.length + shape.lateness)
    async with SqliteLog(":memory:") as log:
        await log.ensure(
            [
                Topic(name, 1, _KEPT_MS, "compact,delete" if name == topics.attributions else "delete")
                for name in (topics.events, topics.attributions, topics.runs, topics.deadletters)
            ]
        )
        settings = {"bucket": shape.bucket, "hop": shape.hop, "scorer": "vader"}
        cycle = Cycle(log, topics, plan_of(Engine()), settings=settings, clock=None, now=None)

        async def closed(snapshot: Snapshot) -> None:
            record = await cycle(snapshot)
            if runs is not None:
                runs.write(record.encode() + b"\n")
            outcome.runs += 1
            _keep(outcome, snapshot)

        worker = Worker(log, topics.events, shape, [0], closed)
        try:
            await worker.start()
            for source in sources:
                bridge = Bridge(source, log, topics, 1, None, now=int, memory=memory, limits=_NO_LIMITS)
                async for delivery in source.deliveries(None):
                    await bridge.deliver([delivery])
                    while await worker.step(wait=0):
                        pass
                    progress.frames += delivery.frames
                    progress.events, progress.runs = worker.windows.stats.events, outcome.runs
                    told(progress)
                outcome.frames += bridge.stats.frames
                outcome.duplicates += bridge.stats.duplicates
                outcome.deadletters += bridge.stats.deadletters
            await worker.finish()
            await worker.close()
        finally:
            cycle.close()
    folded = worker.windows.stats
    outcome.events, outcome.late = folded.events, folded.late
    outcome.duplicates += folded.duplicates
    return outcome


def _keep(outcome: Outcome, snapshot: Snapshot) -> None:
    """Keep the state of the newest window, of those who are active in it."""
    active = (snapshot.current[: len(COUNTS)] > 0).any(axis=0)
    outcome.columns = snapshot.current[:, active]
    outcome.agents = [snapshot.agents[place] for place in np.flatnonzero(active).tolist()]
