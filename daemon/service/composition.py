"""The daemon: one composition of source, bridge, log, windows and cycle, run under supervision.

What can refuse to start refuses on entering, in one sentence, before a record is written. After that any part's death
ends the whole; `stop` ends it in order: the source is left, what it gave is in the log and its cursor saved, the
windows are checkpointed, the log is closed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Self

import structlog

from consumers.bridge.bridge import Bridge
from consumers.followers.keeper import Followers
from consumers.log import Log, Topics
from consumers.sources import Source
from consumers.sources.live import system_clock
from consumers.worker.checkpoints import Checkpoints
from consumers.worker.worker import Worker
from daemon.config.model import Config
from daemon.config.outlets import Http
from daemon.config.values import SECOND
from daemon.errors import ConfigError
from daemon.http.server import Server, Surface
from daemon.metrics.collecting import Instruments
from daemon.metrics.readings import of_service
from daemon.runs.latest import Latest
from daemon.service import building
from daemon.service.claims import claim
from daemon.service.health import Health, Watchdog
from daemon.service.memory import keep_level
from daemon.service.readiness import require
from daemon.service.share import Role, Share
from daemon.service.status import status
from daemon.service.supervision import supervise

LOOP_BEAT = 0.5
LOOP_LIMIT = 30.0

_logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Service:
    """The daemon of a configuration; enter it, then `run` it. What it shows is there from its making on.

    `sources` replaces those of the configuration: a demo brings its own. `share` is this rank among those that share
    the attributing.
    """

    config: Config
    role: Role = "all"
    sources: Sequence[Source] | None = None
    share: Share = field(default_factory=Share)
    latest: Latest = field(default_factory=Latest)
    health: Health = field(default_factory=Health)
    instruments: Instruments = field(default_factory=Instruments)
    bridges: list[Bridge] = field(default_factory=list, init=False)
    worker: Worker | None = field(default=None, init=False)
    checkpoints: Checkpoints | None = field(default=None, init=False)
    followers: Followers | None = field(default=None, init=False)
    log: Log = field(init=False)
    topics: Topics = field(init=False)
    server: Server = field(init=False)
    clock: Callable[[], int] = field(init=False)
    opened: bool = field(default=False, init=False)
    """Whether all parts are there."""
    started: float = field(default_factory=time.time, init=False)
    _read_out: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)

    def __post_init__(self) -> None:
        self.clock = building.clock_of(self.config)

    async def __aenter__(self) -> Self:
        """Listen, open the log and build the parts. Raises RefusalError, LogError, SourceError, and what it must."""
        keep_level()
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _open(self, stack: AsyncExitStack) -> None:
        config = self.config
        self.share.check(config, self.role)
        if self.role != "all" and config.log.kind == "sqlite":
            raise ConfigError(f"--role {self.role} needs a log that processes share: set log.kind to kafka")
        sources = self._sources() if self.bridging else []
        require(self)
        surface = Surface(self.latest, self.health, self.instruments.registry, lambda: status(self))
        self.server = await stack.enter_async_context(Server(self._http(), surface))
        if self.attributing:
            # torch takes seconds to load: elsewhere, so that the probes are answered meanwhile.
            attributing = await asyncio.to_thread(import_module, "daemon.service.attributing")
            attributing.check(config)
        roles = [role for role, mine in (("bridge", self.bridging), (self.share.part, self.attributing)) if mine]
        stack.enter_context(claim(config.state, roles))
        self.log = await stack.enter_async_context(building.log_of(config))
        self.topics, topics = building.topics_of(config)
        await self.log.ensure(topics)
        if self.bridging:
            partitions, limits = config.log.partitions, building.limits_of(config)
            self.bridges = [
                Bridge(source, self.log, self.topics, partitions, config.state, now=system_clock, limits=limits)
                for source in sources
            ]
        if self.attributing:
            shown = {"latest": self.latest, "instruments": self.instruments, "share": self.share}
            self.followers = await attributing.followers_of(config, stack)
            shown["followers"] = self.followers
            built = await attributing.build(config, self.log, self.topics, stack=stack, clock=self.clock, **shown)
            stack.callback(built.cycle.close)
            self.worker, self.checkpoints = built.worker, built.checkpoints
        self.instruments.readings.add(lambda: of_service(self))
        self.opened = True
        names, address = [source.name for source in sources], self.server.address
        given = {"rank": self.share.rank, "ranks": self.share.size} if self.share.launched else {}
        _logger.info("listening", address=address, role=self.role, sources=names, log=config.log.kind, **given)

    @property
    def bridging(self) -> bool:
        """Whether this daemon reads sources into the log."""
        return self.role in ("all", "bridge")

    @property
    def attributing(self) -> bool:
        """Whether this daemon folds the log and publishes runs."""
        return self.role in ("all", "attribute")

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set or all recorded sources are read out. Raises PartDiedError or DrainError."""
        dog = Watchdog(self.health)
        dog.start()
        parts: dict[str, Callable[[], Awaitable[None]]] = {"event loop": lambda: self._beat(stop)}
        if self.bridges:
            parts["bridge"] = lambda: self._read(stop)
        if self.worker:
            parts["worker"] = lambda: self._work(stop)
        if followers := self.followers:
            parts["keeper of followers"] = lambda: followers.run(stop)
        try:
            await supervise(parts, stop, budget=self.config.drain / SECOND)
        finally:
            dog.stop()
        _logger.info("stopped", run=(self.latest.run or {}).get("id"))

    async def _beat(self, stop: asyncio.Event) -> None:
        """Show that the event loop turns, and end with the parts that end by themselves."""
        beat = self.health.watch("event loop", min(LOOP_LIMIT, self.config.stuck / SECOND))
        while not stop.is_set():
            beat()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOP_BEAT)
        self.health.forget("event loop")

    async def _read(self, stop: asyncio.Event) -> None:
        """Read the sources, one after the other, into the log."""
        for bridge in self.bridges:
            await bridge.run(stop)
            if stop.is_set():
                return
        _logger.info("read out", sources=[bridge.source.name for bridge in self.bridges])
        self._read_out.set()
        if not self.worker:
            stop.set()

    async def _work(self, stop: asyncio.Event) -> None:
        """Fold the log and publish runs, until `stop`, or until what the recorded sources gave is done."""
        worker = self.worker
        assert worker is not None
        await worker.start()
        beat = self.health.watch("worker", self.config.stuck / SECOND)
        while not worker.left:
            await worker.step(leaving=stop.is_set() or self._read_out.is_set())
            beat()
        if self._read_out.is_set() and not stop.is_set():
            await worker.finish()
        await worker.checkpoint()
        await worker.close()
        self.health.forget("worker")
        stop.set()

    def _http(self) -> Http:
        """Return where to listen: the ranks of one machine take the ports from the configured one on."""
        settings = self.config.http
        return settings.model_copy(update={"port": settings.port + self.share.local}) if settings.port else settings

    def _sources(self) -> Sequence[Source]:
        return building.sources_of(self.config) if self.sources is None else self.sources
