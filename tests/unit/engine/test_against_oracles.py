"""The engine against the Shapley value itself, indicator by indicator, on heavy-tailed crowds.

The games are written from the design's table (`tests.reference`), not by the engine. What plain Aumann-Shapley misses
in the same games is recorded beside (`--junitxml` shows it; the benchmark `truth` prints it).
"""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.attribution import attribute
from engine.crowds import crowd
from engine.oracles import exact, sampled
from engine.registry import get
from engine.state import State
from tests.populations import population
from tests.reference import REFERENCES

BASELINES = ("neutral", "preceding")
GAMES = [(name, baseline) for name in REFERENCES for baseline in BASELINES]


def crowds(n: int, seed: int, baseline: str) -> tuple[State, State | None]:
    return crowd(n, 2 * seed), crowd(n, 2 * seed + 1) if baseline == "preceding" else None


def arrays(state: State, before: State | None) -> tuple[np.ndarray, np.ndarray | None]:
    return state.columns.numpy(), None if before is None else before.columns.numpy()


def distance(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found - truth).norm() / truth.norm().clamp(min=1e-300))


@pytest.mark.parametrize(("name", "baseline"), GAMES)
@given(seed=st.integers(0, 2**30))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_with_twelve_agents_oceanic_is_within_two_percent_of_every_coalition_enumerated(name, baseline, seed):
    state, before = crowds(12, seed, baseline)
    truth = exact(REFERENCES[name].game(*arrays(state, before)))
    assert distance(attribute(get(name), state, before, method="oceanic").phi, truth) < 2e-2


@pytest.mark.parametrize(("name", "baseline"), GAMES)
def test_with_all_agents_as_whales_oceanic_is_the_shapley_value(name, baseline):
    state, before = crowds(8, 3, baseline)
    truth = exact(REFERENCES[name].game(*arrays(state, before)))
    assert distance(attribute(get(name), state, before, method="oceanic", whales=8).phi, truth) < 1e-9


@pytest.mark.parametrize(("name", "baseline"), GAMES)
def test_with_300_agents_oceanic_is_within_the_noise_of_20_000_permutations(name, baseline, record_property):
    oceanic, plain = [], []
    for seed in (1, 2, 3):
        state, before = crowds(300, seed, baseline)
        truth = sampled(REFERENCES[name].game(*arrays(state, before)), 20_000, torch.Generator().manual_seed(seed))
        noise = max(truth.noise, 1e-12 * float(truth.phi.norm()))
        oceanic.append(float((attribute(get(name), state, before, method="oceanic").phi - truth.phi).norm()) / noise)
        plain.append(float((attribute(get(name), state, before).phi - truth.phi).norm()) / noise)
    record_property("aumann_shapley_over_noise", plain)
    assert float(np.sqrt(np.mean(np.square(oceanic)))) <= 1.6


@pytest.mark.parametrize(("name", "baseline"), GAMES)
def test_at_scale_the_value_and_its_baseline_are_the_tables(name, baseline):
    now, then = population(20_000, 1), population(20_000, 2)
    before = then if baseline == "preceding" else None
    game = REFERENCES[name].game(now, before)
    found = attribute(
        get(name), State(torch.from_numpy(now)), None if before is None else State(torch.from_numpy(before))
    )
    assert found.ok
    assert found.value == pytest.approx(float(game.f(game.present.sum(0))), rel=1e-12)
    assert found.baseline_value == pytest.approx(float(game.f(game.start)), rel=1e-12, abs=1e-15)
    assert found.sum_phi == pytest.approx(found.value - found.baseline_value, rel=1e-9)


def test_many_agents_alike_bring_aumann_shapley_to_the_shapley_value():
    # The finite game's distance from its limit falls as 1/n when nobody is a whale.
    off = []
    for copies in (2, 8, 32):
        columns = crowd(6, 5).columns.repeat(1, copies)
        before = crowd(6, 6).columns.repeat(1, copies)
        truth = sampled(
            REFERENCES["cascade"].game(columns.numpy(), before.numpy()), 40_000, torch.Generator().manual_seed(1)
        )
        by_kind = truth.phi.reshape(copies, 6).mean(0).repeat(copies)
        off.append(distance(attribute(get("cascade"), State(columns), State(before)).phi, by_kind))
    assert off[0] > 2.5 * off[1] > 6 * off[2]
