"""One run: a closed window in, attributions and a run record out.

The engine and the encoding work on a thread of the cycle's own, never on the event loop. To the log go the
attributions, then the tombstones, then the run record, which is the commit marker: a crash in between leaves
attributions without a record, which readers pass over, and the rerun writes the same keys with the same values.
What the engine does not vouch for is named in the record and left out of the attributions.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from consumers.log import Entry, Log, Topics
from consumers.peers import Alone, Peers
from consumers.snapshot import Coverage, Snapshot
from consumers.windows.group import Image
from daemon.runs import recall
from daemon.runs.attributions import Attributions, Key, Leaders
from daemon.runs.carried import Carried
from daemon.runs.identity import identities
from daemon.runs.latest import Latest, Results
from daemon.runs.pseudonyms import Pseudonyms
from daemon.runs.publisher import Policy, Publisher, Written
from daemon.runs.records import CoverageRecord, Coverages, GapRecord, RunRecord, VisibilityRecord, fingerprint, run_id
from daemon.runs.summary import failures, is_good, measures
from daemon.runs.visibility import Seen, Visibility, by_received
from engine.analysis import analyse
from engine.fusion import Fusion
from engine.meeting import Alone as NoMeeting
from engine.meeting import Meeting
from engine.panic import PanicMemory
from engine.ranking import strata
from engine.results import TIERS, Finding, Method
from engine.state import State

MICRO = 1_000_000


@dataclass(slots=True, frozen=True)
class Plan:
    """What a cycle computes and publishes. All but the device decides what a run says, so it is in the run's id."""

    indicators: tuple[str, ...]
    method: Method = "aumann-shapley"
    whales: int = 6
    tiers: tuple[float, float] = (0.01, 0.10)
    panels: tuple[int, ...] = (100, 1_000, 10_000)
    seed: int = 0
    policy: Policy = field(default_factory=Policy)
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def fingerprint(self, snapshot: Snapshot, settings: Mapping[str, Any]) -> str:
        """Return the fingerprint of this plan, of the window's length and of settings from outside the cycle."""
        own = asdict(self) | {"policy": str(self.policy), "length": snapshot.end - snapshot.start}
        del own["device"]
        return fingerprint({**settings, **own})


@dataclass(slots=True)
class CycleStats:
    """Totals since the start; `seconds` by phase: snapshot, engine, encode (ranking too), publish."""

    runs: int = 0
    attributions: int = 0
    tombstones: int = 0
    failures: int = 0
    seconds: Counter[str] = field(default_factory=Counter)

    def add(self, record: RunRecord) -> None:
        """Count a run."""
        self.runs += 1
        self.attributions += record.attributions
        self.tombstones += record.tombstones
        self.failures += len(record.failures)
        self.seconds.update(record.timings)


@dataclass(slots=True)
class _Computed:
    findings: list[Finding]
    table: Attributions
    memory: dict[str, PanicMemory]
    visibility: Visibility
    timings: dict[str, float]


@dataclass(slots=True, frozen=True)
class _Part:
    """What one rank tells the others of a run once its attributions are durable."""

    agents: int
    known: int
    attributions: int
    tombstones: int
    leaders: dict[Key, Leaders]
    erased: list[str]


class Cycle:
    """Turns each snapshot into a published run. Await it with one snapshot at a time, in order of their windows."""

    def __init__(
        self,
        log: Log,
        topics: Topics,
        plan: Plan,
        *,
        latest: Latest | None = None,
        seen: Seen = by_received,
        settings: Mapping[str, Any] | None = None,
        pseudonyms: Pseudonyms | None = None,
        partitions: Collection[int] = (0,),
        peers: Peers | None = None,
        meeting: Meeting | None = None,
        gpu: int = 0,
        fusion: Fusion | None = None,
        clock: Callable[[], float] | None = time.perf_counter,
        now: Callable[[], float] | None = time.time,
    ) -> None:
        """Publish to an open log whose topics exist.

        `seen` says how visible the agents are, on the engine's thread. `settings` are those outside the plan that
        change what a run says (bucket, scorer). With `pseudonyms` all that
        leaves the cycle, `latest` included, has them in place of the agents' names. `partitions` are those that the
        snapshots are of; of the others, the agents are `peers`' on the same windows, with whom the engine's sums meet
        in `meeting`. The first rank commits the run. `gpu` is this rank's. `fusion`, which the cycle closes,
        gives the engine compiled sweeps. `clock` times the phases
        in seconds and `now` gives the wall clock in Unix seconds for the lag; without them (replay) a run's record
        depends on its window and on the runs before it alone.
        """
        self.plan = plan
        self.latest = latest or Latest()
        self.stats = CycleStats()
        self._log, self._topics, self._seen = log, topics, seen
        self._pseudonyms, self._fusion = pseudonyms, fusion
        self._settings = dict(settings or {}) | ({"pseudonyms": pseudonyms.id} if pseudonyms else {})
        self._timed, self._clock, self._now = clock is not None, clock or float, now
        self._partitions = sorted(partitions)
        self._device = device_of(plan.device, gpu)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine", initializer=leave_a_core)
        self._peers: Peers = peers or Alone()
        self._meeting: Meeting = meeting or NoMeeting()
        self._publisher = Publisher(
            log, topics.attributions, plan.policy, self._thread, peers=self._peers, clock=self._clock
        )
        self._carried: Carried | None = None
        self._version = version("starlingd")

    async def start(self) -> None:
        """Find out who is published, where no checkpoint said it.

        To be called before the first checkpoint, which then says it: read later, the topic would also hold what an
        earlier life published of windows that are still to close again.
        """
        if self._carried is None:
            self._carried = Carried(await recall.published(self._log, self._topics.attributions, self._partitions))
            self._publisher.published = self._carried.published

    async def __call__(self, snapshot: Snapshot) -> RunRecord:
        """Run the engine over a closed window, publish what it vouches for, and return the run's record.

        With other ranks the record is of all agents, and committed when all have published theirs.
        """
        run = run_id(snapshot.lens, snapshot.end, self.plan.fingerprint(snapshot, self._settings))
        await self.start()
        assert self._carried is not None
        computed = await asyncio.get_running_loop().run_in_executor(
            self._thread, self._compute, snapshot, self._carried
        )
        erased = self._pseudonyms.of(snapshot.erased) if self._pseudonyms else snapshot.erased
        written = await self._publisher.publish(computed.table, run, snapshot.lens, erased)
        parts = await self._peers.meet(
            _Part(
                agents=len(snapshot.agents),
                known=computed.visibility.known,
                attributions=written.attributions,
                tombstones=written.tombstones,
                leaders=computed.table.leaders,
                erased=list(erased),
            )
        )
        record = self._record(run, snapshot, computed, written, parts)
        if self._peers.rank == 0:
            await self._log.append(self._topics.runs, [Entry(run.encode(), record.encode())])
        record = (await self._peers.meet(record))[0]
        self._carried = Carried(self._publisher.published, snapshot.agents, snapshot.partitions, computed.memory)
        gone = [name for part in parts for name in part.erased]
        self.latest.swap(Results(record.model_dump(mode="json"), computed.table), gone)
        self.stats.add(record)
        return record

    def close(self) -> None:
        """End the engine's thread once what it does is done."""
        if self._fusion is not None:
            self._fusion.close()
        self._thread.shutdown()

    def dump(self) -> dict[int, Image]:
        """Return what the next run needs of the ones before, by partition; nothing before `start` or `load`."""
        return {} if self._carried is None else self._carried.dump(self._partitions)

    def load(self, images: Mapping[int, Image]) -> None:
        """Go on from a dump, or from none; raises ValueError for one that this version did not write."""
        self._carried = Carried.load(images) if images else None
        self._publisher.published = self._carried.published if self._carried else recall.Published()

    def _compute(self, snapshot: Snapshot, carried: Carried) -> _Computed:
        """Run the engine; on the engine's thread."""
        begun = self._clock()
        current = State(torch.from_numpy(snapshot.current)).to(self._device)
        preceding = None
        if snapshot.preceding is not None:
            preceding = State(torch.from_numpy(snapshot.preceding)).to(self._device)
        visibility = self._seen(snapshot)
        memory = carried.reordered(snapshot.agents, snapshot.erased)
        built = self._clock()
        seen = torch.from_numpy(visibility.values).to(self._device)
        ranking = strata(seen, self.plan.tiers, self._meeting)
        findings = analyse(
            current,
            preceding,
            indicators=self.plan.indicators,
            method=self.plan.method,
            whales=self.plan.whales,
            ranking=ranking,
            panel_sizes=self.plan.panels,
            seed=self.plan.seed,
            identity=torch.from_numpy(identities(snapshot.agents)),
            memory=memory,
            fusion=self._fusion,
            meeting=self._meeting,
        )
        answered = self._clock()
        table = self._table(snapshot, findings, visibility.values, ranking.tiers.cpu().numpy())
        timings = {"snapshot": built - begun, "engine": answered - built, "encode": self._clock() - answered}
        return _Computed(findings, table, memory, visibility, timings)

    def _table(
        self, snapshot: Snapshot, findings: list[Finding], visibility: NDArray[np.int64], tier: NDArray[np.integer]
    ) -> Attributions:
        """Return what may be published, under the agents' names or their pseudonyms, in the order of either."""
        agents: list[str] = snapshot.agents
        rows: NDArray[np.int64] | slice = slice(None)
        if self._pseudonyms is not None:
            self._pseudonyms.forget(snapshot.erased)
            agents, rows = self._pseudonyms.table(agents)
        return Attributions(
            agents=agents,
            phi={
                (found.indicator, found.baseline): found.attribution.phi.cpu().numpy()[rows]
                for found in findings
                if found.attribution is not None and is_good(found)
            },
            tiers=tier.astype(np.uint8)[rows],
            visibility=visibility[rows],
            tier_names=TIERS,
            partitions=snapshot.partitions[rows],
        )

    def _record(
        self, run: str, snapshot: Snapshot, computed: _Computed, written: Written, parts: "Sequence[_Part]"
    ) -> RunRecord:
        """Return the run's record: what this rank found, which is of all agents, and what each rank counted."""
        timings = computed.timings | {
            "encode": computed.timings["encode"] + written.encode,
            "publish": written.publish,
        }
        computed.table.leaders = {
            key: Leaders.of_all([part.leaders[key] for part in parts]) for key in computed.table.leaders
        }
        lag = None if self._now is None else self._now() - snapshot.watermark / MICRO
        return RunRecord(
            id=run,
            lens=snapshot.lens,
            start=snapshot.start,
            end=snapshot.end,
            agents=sum(part.agents for part in parts),
            method=self.plan.method,
            policy=str(self.plan.policy),
            indicators=measures(computed.findings, computed.table),
            failures=failures(computed.findings),
            coverage=Coverages(current=_coverage(snapshot.coverage), preceding=_coverage(snapshot.preceding_coverage)),
            visibility=VisibilityRecord(measure=computed.visibility.measure, known=sum(part.known for part in parts)),
            watermark=snapshot.watermark,
            watermark_lag=lag,
            timings=timings if self._timed else {},
            device=str(self._device),
            version=self._version,
            attributions=sum(part.attributions for part in parts),
            tombstones=sum(part.tombstones for part in parts),
        )


def leave_a_core() -> None:
    """Have torch work on one core less than there are, on the thread that calls this.

    Its threads wait for one another in every operation: where one shares its core with a broker, all are held up, and
    on two busy cores two took three times as long as one.
    """
    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) - 1)))


def device_of(name: str, gpu: int = 0) -> torch.device:
    """Return the device of a name; `auto` takes a GPU where there is one. Of several, `gpu` says which."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    return torch.device("cuda", gpu % torch.cuda.device_count())


def _coverage(coverage: Coverage) -> CoverageRecord:
    return CoverageRecord(
        fraction=coverage.fraction,
        gaps=[GapRecord(start=gap.start, end=gap.end, cause=gap.cause) for gap in coverage.gaps],
    )
