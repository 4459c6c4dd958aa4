"""A kill campaign: bridge, worker and broker killed -9 at seeded moments, and every integer held to a recount.

Real processes read a stream that goes on with the kills. Some of these come by the clock, wherever the process is;
others inside a step that must not be half done: a claim, an append, the saving of the cursor, the writing of a
checkpoint, of attributions, of a run's record.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from uuid import uuid4

from consumers.bridge.cursors import CursorFile, Position
from consumers.log import Log, Topics
from consumers.log.kafka_options import KafkaOptions
from consumers.log.opening import open_log
from consumers.windows.shape import SECOND, Shape
from tests.campaigns import verdict
from tests.campaigns.kills.parts import STEPS, Broker, Part
from tests.campaigns.kills.report import Report
from tests.campaigns.producers import PARTITIONS, Given, Producer
from tests.e2e.process import Daemon
from tests.servers.kafka import Kafka

SETTINGS = (
    "windows.idle=30m",
    "checkpoints.every=1s",
    "engine.panels=100",
    "engine.indicators=polarization,panic",
    "engine.device=cpu",
    f"log.partitions={PARTITIONS}",
)
_TICK = 0.05
_STEP = 1.0
"""Seconds in which what belongs to the next kill is released."""

_STUCK = 240.0
_LONG = 1800.0
"""Seconds for all windows of a campaign, one after the other, on a machine that has much else to do."""


def flags(shape: Shape, *settings: str) -> tuple[str, ...]:
    """Return windows of this shape and settings as the command line takes them."""
    parts = {"length": shape.length, "bucket": shape.bucket, "lateness": shape.lateness}
    windows = (f"windows.{name}={duration // SECOND}s" for name, duration in parts.items())
    return tuple(part for setting in (*windows, *SETTINGS, *settings) for part in ("--set", setting))


class Campaign:
    """One setting: a Kafka with a bridge and a worker, or without one both in one process on SQLite."""

    def __init__(self, folder: Path, kills: int, seed: int, producer: Producer, kafka: Kafka | None = None) -> None:
        self.folder, self.kafka, self.wanted, self.producer = folder, kafka, kills, producer
        self.random = Random(seed)
        self.topics = Topics(f"kills-{uuid4().hex[:8]}" if kafka else "starlingd")
        self.report = Report(f"{'Kafka' if kafka else 'SQLite'}, {producer.protocol}", seed)

    def run(self) -> Report:
        """Kill as often as is wanted, let the last lives finish, and compare."""
        began = time.monotonic()
        with ExitStack() as stack:
            stack.enter_context(self.producer)
            parts = self._parts()
            self._place(parts[0].state)
            for part in parts:
                stack.callback(part.end)
            broker = Broker(self.kafka, self.random) if self.kafka else None
            if broker:
                stack.callback(broker.settle)
            self._kill(parts, broker)
            given = self._finish(parts)
            assert broker is None or self.report.kills["broker: any"] == broker.kills
        self._note(parts)
        self._compare(parts[-1].state, given)
        self.report.seconds = time.monotonic() - began
        return self.report

    def _parts(self) -> list[Part]:
        producer = self.producer
        roles = ("all",)
        log: tuple[str, ...] = ("--log", "sqlite")
        settings = producer.settings
        if self.kafka:
            roles = ("bridge", "attribute")
            log = ("--log", "kafka", "--bootstrap", self.kafka.bootstrap)
            settings = (*settings, f"log.prefix={self.topics.prefix}", "log.replication=1")
        given = (*log, "--source", producer.protocol, "--hosts", producer.address, *flags(producer.shape, *settings))
        return [Part(role, self.folder / role, ("--role", role, *given), STEPS[role], self.random) for role in roles]

    def _place(self, state: Path) -> None:
        """Have the bridge read from the beginning."""
        producer = self.producer
        if producer.place is not None:
            source = f"{producer.protocol}:{producer.address.removeprefix('ws://')}"
            CursorFile(state, source).save(Position(producer.place))

    @property
    def _killed(self) -> int:
        return self.report.kills.total()

    def _kill(self, parts: list[Part], broker: Broker | None) -> None:
        """Kill until it was done as often as is wanted; the stream goes on with the kills."""
        for part in parts:
            part.start()
        last = time.monotonic()
        while self._killed < self.wanted:
            time.sleep(_TICK)
            before = self._killed
            for part in () if broker and broker.away else parts:
                if self._tick(part):
                    self.report.kills[f"{part.name}: {part.ended_in}"] += 1
                    part.start(doomed=self._killed < self.wanted)
            if broker and broker.tick():
                self.report.kills["broker: any"] += 1
            now = time.monotonic()
            if self._killed != before:
                last = now
            assert now - last < _STUCK, f"nothing was killed for {_STUCK:g} s: {parts[-1].deaths[-1:]}"
            step = min(1.0, (now - last) / _STEP)
            self.producer.release(min(1.0, (self._killed + step) / (self.wanted + 1)))
        for part in parts:
            if part.doomed:
                part.end()
                part.start(doomed=False)
        if broker:
            broker.settle()

    def _tick(self, part: Part) -> bool:
        """Let a part come to its end if it is time; only for want of a broker may it end by itself."""
        ended = part.tick()
        assert self.kafka or not part.deaths, part.deaths
        return ended

    def _finish(self, parts: list[Part]) -> Given:
        """Have all given that is left; end the processes in order once the last window that it closes was published."""
        given = self.producer.finish(self.folder)
        self.events = asyncio.run(verdict.events_of(given.recording))
        self.end = verdict.last_end(self.events, self.producer.shape, PARTITIONS)
        worker = parts[-1]
        deadline = time.monotonic() + _LONG
        while f'"end":{self.end}'.encode() not in worker.newest():
            assert time.monotonic() < deadline, f"the last window did not close: {worker.daemon and worker.daemon.told}"
            for part in parts:
                self._tick(part)
            time.sleep(_TICK)
        for part in parts:
            assert part.stop() == 0
        return given

    def _note(self, parts: list[Part]) -> None:
        self.report.restarts = sum(part.restarts for part in parts)
        self.report.deaths = [death for part in parts for death in part.deaths]
        self.report.manners = self.producer.manners

    def _uninterrupted(self, recording: Path) -> Path:
        """Run the same stream through a daemon that nobody disturbs; return its log's file."""
        settings = flags(self.producer.shape, f"source.paths={recording}")
        with Daemon(self.folder / "whole", "--log", "sqlite", "--source", "recording", *settings) as daemon:
            assert daemon.finish(_LONG) == 0, daemon.told
        return daemon.state / "log.db"

    def _compare(self, state: Path, given: Given) -> None:
        """Hold the worker's last window to the recount, and its runs to those of a daemon left in peace."""
        shape, report = self.producer.shape, self.report
        end, found = verdict.held(state / "checkpoints", shape, PARTITIONS)
        expected = verdict.recount(self.events, self.end, shape, PARTITIONS)
        assert end == self.end
        assert expected
        report.events, report.agents = len(self.events), len(expected)
        report.count_differences = verdict.differences(found, expected)
        if given.counts is not None:
            told = {agent: counts for agent, counts in found.items() if agent not in given.closers}
            report.count_differences += verdict.differences(told, given.counts, verdict.DONE)
        whole = self._uninterrupted(given.recording)

        def own() -> Log:
            if self.kafka:
                return open_log(kafka=KafkaOptions(self.kafka.bootstrap))
            return open_log(path=state / "log.db", read_only=True)

        asyncio.run(self._compare_runs(own, whole))

    async def _compare_runs(self, own: Callable[[], Log], whole: Path) -> None:
        async with open_log(path=whole, read_only=True) as log:
            expected = await verdict.published(log, Topics())
        async with own() as log:
            found = await verdict.published(log, self.topics)
            self.report.log = await verdict.census(log, self.topics)
        due = {run for run, records in expected.runs.items() if records[0]["end"] <= self.end}
        self.report.runs, self.report.reruns = len(due), found.reruns
        self.report.run_differences = found.differences(expected) + len(due ^ found.runs.keys())
