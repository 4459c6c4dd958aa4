"""The volatility's memory: h and every phi decay and take up each run's change, and always sum to each other."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis import analyse
from engine.attribution import attribute
from engine.errors import StateError
from engine.panic import PanicMemory, remembered
from engine.registry import get
from engine.state import State
from tests.populations import crowd

RHO = 0.94


def made(seed: int, n: int = 40) -> State:
    return State(torch.from_numpy(crowd(n, seed)))


def share(x: State) -> float:
    return float(x["alarm"].sum() / x["scored"].sum())


def test_runs_follow_the_recursion_of_the_design() -> None:
    windows = [made(seed) for seed in range(5)]
    memory: dict[str, PanicMemory] = {}
    h, phi = 0.0, torch.zeros(40, dtype=torch.float64)
    for before, now in itertools.pairwise(windows):
        finding = analyse(now, before, indicators=["panic"], memory=memory)[0]
        e = share(now) - share(before)
        total = now["scored"].sum(), before["scored"].sum()
        assert min(total) > 0
        delta = PanicMemory.empty(40)
        change = remembered_change(now, before)
        h, phi = RHO * h + (1 - RHO) * e**2, RHO * phi + (1 - RHO) * e * change
        assert finding.attribution is not None
        assert finding.attribution.ok
        assert finding.attribution.value == pytest.approx(h, rel=1e-12)
        assert torch.allclose(finding.attribution.phi, phi, rtol=1e-10, atol=1e-18)
        assert memory["panic"].volatility == finding.attribution.value
        assert delta.volatility == 0.0


def remembered_change(now: State, before: State) -> torch.Tensor:
    """δ: one run from an empty memory gives (1−ρ)·e·δ."""
    e = share(now) - share(before)
    return attribute(get("panic"), now, before).phi / ((1 - RHO) * e)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000), index=st.permutations(list(range(12))), kept=st.integers(0, 12), new=st.integers(0, 4)
)
def test_a_new_order_of_agents_keeps_the_sum(seed: int, index: list[int], kept: int, new: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    memory = PanicMemory(1.0, torch.rand(12, generator=generator, dtype=torch.float64))
    memory.departed = memory.volatility - float(memory.phi.sum())
    order = torch.tensor([*index[:kept], *([-1] * new)], dtype=torch.int64)
    moved = memory.reordered(order)
    assert moved.phi[:kept].tolist() == memory.phi[index[:kept]].tolist()
    assert moved.phi[kept:].tolist() == [0.0] * new
    assert float(moved.phi.sum()) + moved.departed + moved.left == pytest.approx(1.0)


def test_what_those_who_left_carry_is_the_baseline_value() -> None:
    memory: dict[str, PanicMemory] = {}
    analyse(made(1), made(0), indicators=["panic"], memory=memory)
    memory["panic"] = memory["panic"].reordered(torch.tensor([*range(10), *([-1] * 30)]))
    finding = analyse(made(2), made(1), indicators=["panic"], memory=memory)[0]
    assert finding.attribution is not None
    assert finding.attribution.ok
    assert finding.attribution.baseline_value == pytest.approx(memory["panic"].departed)
    assert finding.attribution.baseline_value != 0.0


def test_a_memory_of_other_agents_is_refused_and_kept() -> None:
    memory = {"panic": PanicMemory.empty(3)}
    with pytest.raises(StateError, match="the memory of 'panic' holds 3 agents and the run 40"):
        remembered(attribute(get("panic"), made(1), made(0)), memory["panic"], RHO)
    finding = analyse(made(1), made(0), indicators=["panic"], memory=memory)[0]
    assert finding.failure is not None
    assert len(memory["panic"].phi) == 3


def test_a_run_without_a_preceding_window_leaves_the_memory_alone() -> None:
    memory = {"panic": PanicMemory.empty(40)}
    assert analyse(made(1), None, indicators=["panic"], memory=memory) == []
    assert memory["panic"].volatility == 0.0
