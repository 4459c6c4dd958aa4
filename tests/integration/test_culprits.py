"""Simulator → bridge → log → windows → engine: planted culprits carry what they were planted for."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from consumers.bridge.bridge import Bridge
from consumers.log import Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.snapshot import Snapshot
from consumers.sources.simulator import INDICATORS, START, SimulatedSource, default_plant
from consumers.windows.shape import SECOND, Shape
from consumers.worker.worker import Worker
from engine.analysis import analyse
from engine.results import Finding
from engine.state import State

ACCOUNTS = 10_000
LENGTH = 1_200
EARLY = 20
PHENOMENA = ("cascade", "polarization", "burst")


def simulated(seed: int) -> SimulatedSource:
    """Two windows, begun a little early so that both are covered: a calm one, then one with all three phenomena."""
    plants = [default_plant(phenomenon, ACCOUNTS, LENGTH) for phenomenon in PHENOMENA]
    later = [replace(plant, after=plant.after + EARLY + LENGTH) for plant in plants]
    return SimulatedSource(
        accounts=ACCOUNTS,
        seed=seed,
        start=START - EARLY * SECOND,
        rate=20.0,
        duration=EARLY + 2 * LENGTH,
        plants=later,
    )


async def second_window(source: SimulatedSource) -> Snapshot:
    snapshots: dict[int, Snapshot] = {}

    async def keep(snapshot: Snapshot) -> None:
        snapshots[snapshot.end] = snapshot

    topics, partitions = Topics("culprits"), 2
    shape = Shape(length=LENGTH * SECOND, bucket=LENGTH * SECOND // 60, hop=LENGTH * SECOND)
    async with SqliteLog(":memory:") as log:
        await log.ensure([Topic(name, partitions, 86_400_000) for name in (topics.events, topics.deadletters)])
        await Bridge(source, log, topics, partitions, None, now=lambda: source.start).run(asyncio.Event())
        worker = Worker(log, topics.events, shape, range(partitions), keep)
        await worker.start()
        await worker.finish()
        await worker.close()
    return snapshots[START + 2 * LENGTH * SECOND]  # a few lines of the last moment fall into the next


def area(scores: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float:
    """Return the chance that one chosen at random scores above one not chosen, ties counting half."""
    _, inverse, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[inverse]
    hits = int(chosen.sum())
    return float((ranks[chosen].sum() - hits * (hits + 1) / 2) / (hits * (len(scores) - hits)))


@pytest.fixture(scope="module", params=[11, 12])
def case(request) -> tuple[SimulatedSource, Snapshot, Sequence[Finding]]:
    source = simulated(request.param)
    snapshot = asyncio.run(second_window(source))
    assert snapshot.preceding is not None
    findings = analyse(
        State(torch.from_numpy(snapshot.current)),
        State(torch.from_numpy(snapshot.preceding)),
        indicators=list(INDICATORS.values()),
    )
    return source, snapshot, findings


@pytest.mark.parametrize("baseline", ["neutral", "preceding"])
@pytest.mark.parametrize("phenomenon", PHENOMENA)
def test_planted_culprits_rank_first_where_they_must_be_found(case, phenomenon, baseline):
    source, snapshot, findings = case
    told = next(culprits for culprits in source.culprits if culprits.phenomenon == phenomenon)
    found = next(f for f in findings if (f.indicator, f.baseline) == (told.indicator, baseline))
    assert found.attribution is not None
    assert found.attribution.ok
    chosen = np.isin(snapshot.agents, told.dids)
    assert chosen.sum() == len(told.dids)
    assert area(found.attribution.phi.numpy(), chosen) >= 0.95


@pytest.mark.parametrize("phenomenon", PHENOMENA)
def test_each_phenomenon_raises_its_indicator(case, phenomenon):
    _, _, findings = case
    found = next(f for f in findings if (f.indicator, f.baseline) == (INDICATORS[phenomenon], "preceding"))
    assert found.attribution is not None
    assert found.attribution.value > found.attribution.baseline_value
