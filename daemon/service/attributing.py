"""The attributing half of the daemon: windows over the log, and a cycle that publishes each one that closes.

It needs torch; a daemon that only reads the network into the log does not load this module.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module

import orjson
import structlog
import torch

from consumers.followers.cache import Cache
from consumers.followers.keeper import Followers
from consumers.log import Log, Topics
from consumers.snapshot import Snapshot
from consumers.worker.checkpoints import Checkpoints
from consumers.worker.places import PlaceError, open_place
from consumers.worker.saving import Saving
from consumers.worker.worker import Worker
from daemon.config.model import Config
from daemon.config.values import SECOND
from daemon.errors import ConfigError
from daemon.metrics.collecting import Instruments
from daemon.runs.cycle import Cycle, Plan
from daemon.runs.latest import Latest
from daemon.runs.pseudonyms import pseudonyms_of
from daemon.runs.publisher import Policy
from daemon.runs.visibility import by_followers, by_received
from daemon.service import building
from daemon.service.memory import give_back
from daemon.service.ranks import ranks
from daemon.service.share import Share
from engine.errors import IndicatorError
from engine.fusion import Fusion
from engine.registry import get

logger = structlog.get_logger()


@dataclass(slots=True)
class Attributing:
    """The worker, which runs the cycle; where it saves; the cycle, to be closed after the worker has ended."""

    worker: Worker
    checkpoints: Checkpoints
    cycle: Cycle


def check(config: Config) -> None:
    """Raise ConfigError for what the first run could not do."""
    pseudonyms_of(config.publish)
    try:
        open_place(config.checkpoint_place)
    except PlaceError as error:
        raise ConfigError(f"checkpoints.directory: {error}") from error
    if config.engine.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("engine.device is cuda, and there is no GPU that torch can use; choose auto or cpu")
    for name in config.engine.indicators:
        try:
            get(name)
        except IndicatorError as error:
            raise ConfigError(f"engine.indicators: {error}") from error


async def followers_of(config: Config, stack: AsyncExitStack) -> Followers | None:
    """Return who keeps followers known, its file open until the stack ends; None where tiers go by what is received."""
    settings = config.followers
    if not settings.enabled:
        return None
    # atproto takes seconds to load as well.
    appview = await asyncio.to_thread(import_module, "consumers.followers.appview")
    ask = appview.AppView(settings.service)
    stack.push_async_callback(ask.close)
    cache = await stack.enter_async_context(Cache(config.followers_path, rows=settings.rows))
    return Followers(cache, ask, rate=settings.rate, max_age=settings.max_age / SECOND)


async def build(
    config: Config,
    log: Log,
    topics: Topics,
    *,
    stack: AsyncExitStack,
    clock: Callable[[], int],
    latest: Latest,
    instruments: Instruments,
    share: Share,
    followers: Followers | None = None,
) -> Attributing:
    """Build the worker and what it needs over an open log whose topics exist; nothing runs yet.

    The ranks that share the attributing meet here, and part when the stack ends.
    """
    shape, partitions = building.shape_of(config), share.of(config.log.partitions)
    joining = ranks(share, timedelta(microseconds=config.stuck))
    peers, meeting = await asyncio.to_thread(stack.enter_context, joining)
    cycle = Cycle(
        log,
        topics,
        plan_of(config),
        latest=latest,
        seen=by_followers(followers.known, config.followers.coverage) if followers else by_received,
        settings=building.settings_of(config),
        pseudonyms=pseudonyms_of(config.publish),
        partitions=partitions,
        peers=peers,
        meeting=meeting,
        gpu=share.local,
        fusion=Fusion(config.engine.compile, report=_uncompiled),
        now=time.time if config.source.kind in building.LIVE else None,
    )
    fingerprint = {**shape.fingerprint(), "partitions": config.log.partitions}
    checkpoints = Checkpoints(config.checkpoint_place, fingerprint, peers)

    async def closed(snapshot: Snapshot) -> None:
        await cycle(snapshot)
        if latest.run is not None and share.rank == 0:
            instruments.ran(latest.run)  # it is of all ranks, and counted once
        if followers:
            await followers.note(snapshot)
        await asyncio.to_thread(give_back)

    worker = Worker(
        log,
        topics.events,
        shape,
        partitions,
        closed,
        now=clock,
        saving=Saving(
            checkpoints,
            every=config.checkpoints.every,
            dump=cycle.dump,
            load=cycle.load,
            settle=cycle.start,
            patience=config.checkpoints.patience,
        ),
        closed_before=await newest_end(log, topics.runs),
        peers=peers,
    )
    return Attributing(worker, checkpoints, cycle)


def _uncompiled(reason: str) -> None:
    logger.warning("sweeps not compiled", reason=reason)


def plan_of(config: Config) -> Plan:
    """Return what the cycle computes and publishes."""
    engine = config.engine
    return Plan(
        indicators=tuple(engine.indicators),
        method=engine.method,
        whales=engine.whales,
        tiers=engine.tiers,
        panels=engine.panels,
        seed=engine.seed,
        policy=Policy.parse(config.publish.policy),
        device=engine.device,
    )


async def newest_end(log: Log, topic: str) -> int:
    """Return the end, µs, of the newest window whose run record is in the log; 0 where there is none."""
    begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
    reader = await log.reader(topic, {part: max(begins[part], end - 1) for part, end in ends.items()})
    try:
        chunks = await reader.poll(wait=1.0) if any(ends[part] > begins[part] for part in ends) else []
    finally:
        await reader.close()
    return max((orjson.loads(value)["end"] for chunk in chunks for value in chunk.values if value), default=0)
