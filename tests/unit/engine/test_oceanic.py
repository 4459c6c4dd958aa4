"""The oceanic value is near the Shapley value of the finite game, where Aumann and Shapley's alone is not."""

import sys
from pathlib import Path

import pytest
import torch

from engine.attribution import attribute
from engine.oracles import exact, sampled
from engine.registry import get
from engine.results import Attribution, Method
from engine.state import State
from tests.populations import crowd
from tests.reference import REFERENCES


def answer(
    name: str, seed: int, n: int, *, change: bool, method: Method = "oceanic"
) -> tuple[Attribution, torch.Tensor]:
    now, before = crowd(n, seed), crowd(n, seed + 1000) if change else None
    game = REFERENCES[name].game(now, before)
    truth = exact(game) if n <= 16 else sampled(game, 4000, torch.Generator().manual_seed(seed)).phi
    states = State(torch.from_numpy(now)), None if before is None else State(torch.from_numpy(before))
    return attribute(get(name), *states, method=method, gap=True), truth


def distance(phi: torch.Tensor, truth: torch.Tensor) -> float:
    return float((phi - truth).norm() / truth.norm())


@pytest.mark.parametrize("name", sorted(REFERENCES))
@pytest.mark.parametrize("change", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_few_agents_with_heavy_tails_get_nearly_their_shapley_value(name: str, seed: int, *, change: bool) -> None:
    found, truth = answer(name, seed, 16, change=change)
    assert found.ok
    assert distance(found.phi, truth) <= 5e-2


@pytest.mark.parametrize("name", sorted(REFERENCES))
@pytest.mark.parametrize("change", [False, True])
def test_up_to_twice_as_many_agents_as_whales_get_exactly_their_shapley_value(name: str, *, change: bool) -> None:
    found, truth = answer(name, 5, 12, change=change)
    assert found.ok
    assert distance(found.phi, truth) <= 1e-10


@pytest.mark.parametrize("name", ["attention", "activity", "synchrony"])
def test_the_gap_is_the_distance_between_the_methods(name: str) -> None:
    ocean, _ = answer(name, 6, 16, change=True)
    plain, truth = answer(name, 6, 16, change=True, method="aumann-shapley")
    apart = float((ocean.phi - plain.phi).norm() / ocean.phi.norm())
    assert ocean.finite_gap == pytest.approx(apart, rel=1e-9)
    assert plain.finite_gap == pytest.approx(apart, rel=1e-4)
    assert distance(ocean.phi, truth) < distance(plain.phi, truth)


def test_the_gap_is_absent_unless_asked_for() -> None:
    x = State(torch.from_numpy(crowd(20, 1)))
    assert attribute(get("cascade"), x, None).finite_gap is None
    assert attribute(get("cascade"), x, None, method="oceanic").finite_gap is not None


def test_whales_in_later_chunks_are_found() -> None:
    columns = torch.from_numpy(crowd(100_000, 7)).clamp(max=50)
    whales = torch.tensor([3, 40_000, 70_001, 99_999])
    columns[:, whales] = 1_000_000
    x = State(columns)
    found = attribute(get("attention"), x, None, method="oceanic")
    order = torch.cat((whales, torch.arange(100_000)[~torch.isin(torch.arange(100_000), whales)]))
    first = attribute(get("attention"), x.pick(order), None, method="oceanic")
    assert found.ok
    assert torch.allclose(found.phi[order], first.phi, rtol=1e-9, atol=1e-15)
    assert len(found.phi[whales].unique()) == 1


def test_no_whales_leave_the_second_order_alone() -> None:
    x, y = (State(torch.from_numpy(crowd(200, seed))) for seed in (8, 9))
    found = attribute(get("activity"), x, y, method="oceanic", whales=0)
    assert found.ok
    assert found.finite_gap is not None
    assert 0 < found.finite_gap < 0.2


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_an_integral_near_a_singular_end_takes_little_memory() -> None:
    before = crowd(50, 1)
    x, y = State(torch.from_numpy(0 * before)), State(torch.from_numpy(before))
    attribute(get("cascade"), x, y, gap=True)
    Path("/proc/self/clear_refs").write_text("5")
    held = _mib("VmRSS")
    attribute(get("synchrony"), x, y, gap=True)
    assert _mib("VmHWM") - held < 150


def _mib(of: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(of)).split()[1]) / 1024
