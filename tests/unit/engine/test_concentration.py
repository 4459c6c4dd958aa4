"""Tiers, Lorenz curve, contributors and groups follow from phi by counting, and equal agents are treated equally."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.concentration import concentration, shares, sums
from engine.errors import StateError
from engine.meeting import Meeting
from engine.members import mixed
from engine.ranking import strata
from tests.unit.engine.together import together


def levels(visibility: list[int]) -> dict[int, tuple[int, int]]:
    """Where each visibility begins and ends among the agents, the least visible first."""
    ordered = sorted(visibility)
    return {level: (ordered.index(level), ordered.index(level) + ordered.count(level)) for level in set(ordered)}


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.one_of(st.integers(0, 6), st.integers(4090, 4100)), min_size=1, max_size=300),
    head=st.floats(0, 0.3),
    middle=st.floats(0.3, 1),
)
def test_a_level_belongs_to_the_tier_in_which_its_middle_lies(values: list[int], head: float, middle: float) -> None:
    n = len(values)
    first, second = (n - int(np.ceil(round(share * n, 6))) for share in (head, middle))
    centers = {level: (start + stop) / 2 for level, (start, stop) in levels(values).items()}
    expected = [0 if centers[v] >= first else 1 if centers[v] >= second else 2 for v in values]
    assert strata(torch.tensor(values), (head, middle)).tiers.tolist() == expected


def test_where_no_two_are_equal_tiers_are_the_shares_of_the_ranking() -> None:
    tier = strata(torch.randperm(20_000, generator=torch.Generator().manual_seed(1))).tiers
    assert [int((tier == index).sum()) for index in range(3)] == [200, 1800, 18_000]


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.one_of(st.integers(0, 8), st.integers(4090, 4100)), min_size=1, max_size=400),
    seed=st.integers(0, 99),
)
def test_the_lorenz_curve_is_the_cumulative_share_of_mass_which_equals_share_evenly(
    values: list[int], seed: int
) -> None:
    phi = torch.randn(len(values), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mass, seen = phi.abs().numpy(), np.array(values)
    even = np.concatenate([np.full((seen == level).sum(), mass[seen == level].mean()) for level in sorted(set(values))])
    curve = np.concatenate(([0], np.cumsum(even)))
    n = len(values)
    expected = np.interp(np.arange(101) * n / 100, np.arange(n + 1), curve / curve[-1])
    found = concentration(phi, strata(torch.tensor(values)))
    assert found.lorenz == pytest.approx(expected.tolist())
    assert (found.lorenz[0], found.lorenz[-1]) == (0.0, pytest.approx(1.0))


@settings(max_examples=20, deadline=None)
@given(
    values=st.lists(st.one_of(st.integers(0, 8), st.integers(4090, 4100)), min_size=1, max_size=200),
    cut=st.integers(0, 200),
)
def test_ranks_find_what_one_finds(values: list[int], cut: int) -> None:
    seen = torch.tensor(values)
    phi = torch.randn(len(values), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = strata(seen)

    def rank(meeting: Meeting, mine: slice) -> tuple[torch.Tensor, list[float]]:
        found = strata(seen[mine], meeting=meeting)
        return found.tiers, concentration(phi[mine], found, meeting).lorenz

    parts = together(rank, [slice(0, cut), slice(cut, None)])
    assert torch.equal(torch.cat([tiers for tiers, _ in parts]), whole.tiers)
    for _, lorenz in parts:
        assert lorenz == pytest.approx(concentration(phi, whole).lorenz)


def test_masses_and_contributors_are_those_of_the_definition() -> None:
    found = concentration(torch.tensor([3.0, -1.0, 0.0, 4.0]).double(), strata(torch.tensor([5, 1, 0, 2])))
    assert (found.positive_mass, found.negative_mass) == pytest.approx((7.0, 1.0))
    assert found.effective_contributors == pytest.approx(64 / 26)
    assert found.tier_shares == pytest.approx({"head": 3 / 8, "middle": 0.0, "tail": 5 / 8})


def test_phi_of_nothing_has_no_carriers() -> None:
    for n in (0, 1, 5):
        found = concentration(torch.zeros(n, dtype=torch.float64), strata(torch.zeros(n)))
        assert found.effective_contributors == 0.0
        assert set(found.tier_shares.values()) == {0.0}
        assert found.lorenz == [0.0] * 101


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1000, 1000)), min_size=1, max_size=100))
def test_sums_over_groups_are_exact(agents: list[tuple[int, int]]) -> None:
    label, phi = (torch.tensor(each) for each in zip(*agents, strict=True))
    found = sums(phi.double(), label, 5)
    assert found.tolist() == [sum(value for group, value in agents if group == index) for index in range(5)]
    assert float(found.sum()) == float(phi.sum())


def test_shares_follow_the_tiers_given() -> None:
    assert shares(torch.tensor([1.0, 2.0, 1.0]).double(), torch.tensor([0, 2, 2])) == pytest.approx(
        {"head": 0.25, "middle": 0.0, "tail": 0.75},
    )


def test_tier_bounds_that_fall_are_refused() -> None:
    with pytest.raises(StateError, match="must rise"):
        strata(torch.arange(5), (0.2, 0.1))


@pytest.mark.parametrize(("seen", "what"), [([1.5, 2.0], "not a whole number"), ([1, -1], "negative")])
def test_a_visibility_that_is_no_count_is_refused(seen: list[float], what: str) -> None:
    with pytest.raises(StateError, match=what):
        strata(torch.tensor(seen))


def test_numbers_are_mixed_another_way_for_each_seed_and_stay_apart() -> None:
    numbers = torch.arange(-50_000, 50_000)
    one, other = mixed(numbers, 1), mixed(numbers, 2)
    assert len(torch.unique(torch.cat((one, other)))) == 200_000
    assert int(one.min()) >= 0
    assert abs(float((one >> 32).double().mean()) / 2**30 - 1) < 0.01
