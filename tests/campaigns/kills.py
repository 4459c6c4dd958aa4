"""The kill campaign: bridge, worker and broker killed -9 at seeded moments, and every integer held to a recount.

Real processes read a bounded, deterministic stream from a Jetstream that repeats itself and hangs up. Some kills come
by the clock, wherever the process is; others inside a step that must not be half done: a claim, an append, the saving
of the cursor, the writing of a checkpoint, of attributions, of a run's record.

`make kills KILLS=1000 SEED=1` runs the long form and writes its table to kills.md beside this file.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from uuid import uuid4

from consumers.log import Log, Topics
from consumers.log.kafka_options import KafkaOptions
from consumers.log.opening import open_log
from consumers.windows.shape import SECOND, Shape
from tests.campaigns import verdict
from tests.campaigns.parts import STEPS, Broker, Part
from tests.campaigns.report import Report, table
from tests.campaigns.upstream import Protocol, Upstream, simulated
from tests.e2e.process import Daemon
from tests.servers.kafka import Kafka

TABLE = Path(__file__).with_name("kills.md")
PARTITIONS = 3
RATE = 20.0
SECONDS_A_KILL = 6.0
"""Simulated time for each kill: a window closes in it."""

SHAPE = Shape(length=60 * SECOND, bucket=5 * SECOND, lateness=SECOND)
SETTINGS = (
    "windows.length=1m",
    "windows.bucket=5s",
    "windows.lateness=1s",
    "windows.idle=30m",
    "checkpoints.every=1s",
    "engine.panels=100",
    "engine.indicators=polarization,attention,activity,panic",
    "engine.device=cpu",
    f"log.partitions={PARTITIONS}",
)
_TICK = 0.05
_STEP = 2.0
_STUCK = 240.0


def flags(*settings: str) -> tuple[str, ...]:
    """Return settings as the command line takes them."""
    return tuple(part for setting in (*SETTINGS, *settings) for part in ("--set", setting))


class Campaign:
    """One setting: a Kafka with a bridge and a worker, or without one both in one process on SQLite."""

    def __init__(self, folder: Path, kills: int, seed: int, kafka: Kafka | None, protocol: Protocol) -> None:
        self.folder, self.kafka, self.wanted, self.protocol = folder, kafka, kills, protocol
        self.random = Random(seed)
        self.topics = Topics(f"kills-{uuid4().hex[:8]}" if kafka else "starlingd")
        self.lines = simulated(seed, 90 + kills * SECONDS_A_KILL, RATE)
        self.events = verdict.events_of(self.lines)
        self.end = verdict.last_end(self.events, SHAPE, PARTITIONS)
        self.report = Report(f"{'Kafka' if kafka else 'SQLite'}, {protocol}", seed, events=len(self.events))

    def run(self) -> Report:
        """Kill as often as is wanted, let the last lives finish, and compare."""
        began = time.monotonic()
        with ExitStack() as stack:
            upstream = stack.enter_context(Upstream(self.lines, self.random.randrange(1 << 30), self.protocol))
            parts = self._parts(upstream.address)
            for part in parts:
                stack.callback(part.end)
            broker = Broker(self.kafka, self.random) if self.kafka else None
            if broker:
                stack.callback(broker.settle)
            self._kill(parts, broker, upstream)
            self._finish(parts, upstream)
            self._note(parts, broker, upstream)
            worker = parts[-1]
        whole = self._uninterrupted()
        self._compare(worker, whole)
        self.report.seconds = time.monotonic() - began
        return self.report

    def _parts(self, address: str) -> list[Part]:
        source = ("--source", self.protocol, "--hosts", address)
        roles = ("all",)
        log: tuple[str, ...] = ("--log", "sqlite")
        if self.kafka:
            roles = ("bridge", "attribute")
            log = ("--log", "kafka", "--bootstrap", self.kafka.bootstrap)
            log += flags(f"log.prefix={self.topics.prefix}", "log.replication=1")[-4:]
        return [
            Part(role, self.folder / role, ("--role", role, *log, *source, *flags()), STEPS[role], self.random)
            for role in roles
        ]

    @property
    def _killed(self) -> int:
        return self.report.kills.total()

    def _kill(self, parts: list[Part], broker: Broker | None, upstream: Upstream) -> None:
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
            upstream.released = round(len(self.lines) * min(1.0, (self._killed + step) / (self.wanted + 1)))
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

    def _finish(self, parts: list[Part], upstream: Upstream) -> None:
        """Release all that is left; end the processes in order once the last window that it closes was published."""
        upstream.released = len(self.lines)
        worker = parts[-1]
        deadline = time.monotonic() + _STUCK
        while f'"end":{self.end}'.encode() not in self._newest(worker):
            assert time.monotonic() < deadline, f"the last window did not close: {worker.daemon and worker.daemon.told}"
            for part in parts:
                self._tick(part)
            time.sleep(_TICK)
        for part in parts:
            assert part.stop() == 0

    @staticmethod
    def _newest(worker: Part) -> bytes:
        if not worker.listens or worker.daemon is None:
            return b""
        try:
            status, body = worker.daemon.ask("/api/v1/runs/latest")
        except OSError:
            return b""
        return body if status == 200 else b""

    def _note(self, parts: list[Part], broker: Broker | None, upstream: Upstream) -> None:
        assert broker is None or self.report.kills["broker: any"] == broker.kills
        self.report.restarts = sum(part.restarts for part in parts)
        self.report.deaths = [death for part in parts for death in part.deaths]
        self.report.upstream = Counter(repeated=upstream.repeated, dropped=upstream.dropped)

    def _uninterrupted(self) -> Path:
        """Run the same lines through a daemon that nobody disturbs; return its log's file."""
        path = self.folder / "lines.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in self.lines))
        given = ("--log", "sqlite", "--source", "recording", *flags(f"source.paths={path}"))
        with Daemon(self.folder / "whole", *given, program="pass") as daemon:
            assert daemon.finish() == 0, daemon.told
        return daemon.state / "log.db"

    def _compare(self, worker: Part, whole: Path) -> None:
        assert worker.daemon is not None
        end, found = verdict.held(worker.daemon.state / "checkpoints", SHAPE, PARTITIONS)
        expected = verdict.recount(self.events, self.end, SHAPE, PARTITIONS)
        assert end == self.end
        assert expected
        self.report.agents = len(expected)
        self.report.count_differences = verdict.differences(found, expected)

        def own() -> Log:
            if self.kafka:
                return open_log(kafka=KafkaOptions(self.kafka.bootstrap))
            return open_log(path=worker.daemon.state / "log.db", read_only=True)  # type: ignore[union-attr]

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


def main() -> int:
    """Run the long form on both logs and write its table; the exit status says whether nothing differed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=1000, help="how many in all; a third of them on SQLite")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    reports = []
    with tempfile.TemporaryDirectory(prefix="starlingd-kills-") as place:
        folder = Path(place)
        on_sqlite = given.kills // 3
        reports.append(Campaign(folder / "sqlite", on_sqlite, given.seed, None, "jetstream2").run())
        print(table(reports), flush=True)
        with Kafka(folder / "broker", brief=True) as kafka:
            reports.append(Campaign(folder / "kafka", given.kills - on_sqlite, given.seed, kafka, "jetstream1").run())
    TABLE.write_text(table(reports), "utf-8")
    print(table(reports))
    for one in reports:
        for death in one.deaths:
            print(f"--- died by itself, {one.setting}\n{death}", file=sys.stderr)
    return int(any(one.count_differences or one.run_differences for one in reports))


if __name__ == "__main__":
    sys.exit(main())
