"""Tiers, Lorenz curve, contributors and groups follow from phi by counting, and counting agrees with sorting."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import ranking
from engine.concentration import concentration, sums, tier_shares, tiers
from engine.errors import StateError
from engine.ranking import most_visible, strata


def ranked(visibility: torch.Tensor) -> list[int]:
    """The least visible first; of equals the last by index."""
    return sorted(range(len(visibility)), key=lambda agent: (float(visibility[agent]), -agent))


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(0, 6), min_size=1, max_size=300), head=st.floats(0, 0.3), middle=st.floats(0.3, 1))
def test_tiers_are_shares_of_the_ranking_and_equals_go_by_index(values: list[int], head: float, middle: float) -> None:
    visibility = torch.tensor(values)
    order = ranked(visibility)[::-1]
    found = tiers(visibility, (head, middle))[order].tolist()
    n = len(values)
    first, second = (int(np.ceil(round(share * n, 6))) for share in (head, middle))
    assert found == [0] * first + [1] * (second - first) + [2] * (n - second)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.float64])
def test_counting_gives_the_strata_that_sorting_gives(seed: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    visibility = (torch.rand(80_000, generator=generator, dtype=torch.float64) ** -1.2 - 1).floor().to(dtype)
    counted = strata(visibility)
    cuts = torch.tensor(sorted({round(80_000 * part / 100) for part in range(100)} | {80_000 - 800, 80_000 - 8000}))
    assert torch.equal(counted.label, ranking._sorted_labels(visibility, cuts))


def test_counting_serves_where_all_are_equal_and_where_all_are_great() -> None:
    cuts = torch.tensor([0, 10_000, 39_990])
    for visibility in (torch.zeros(40_000), torch.full((40_000,), 5000.0), torch.arange(40_000) * 7 % 4097):
        assert torch.equal(ranking._counted_labels(visibility, cuts), ranking._sorted_labels(visibility, cuts))


def test_visibility_that_is_no_count_is_sorted() -> None:
    visibility = torch.rand(20_000, generator=torch.Generator().manual_seed(1))
    tier = tiers(visibility)
    assert float(visibility[tier == 0].min()) > float(visibility[tier == 1].max())
    assert [int((tier == index).sum()) for index in range(3)] == [200, 1800, 18_000]


def test_the_lorenz_curve_is_the_cumulative_share_of_mass() -> None:
    generator = torch.Generator().manual_seed(1)
    visibility = torch.randint(0, 9, (1234,), generator=generator)
    phi = torch.randn(1234, generator=generator, dtype=torch.float64)
    curve = np.concatenate(([0], np.cumsum(phi.abs().numpy()[ranked(visibility)])))
    expected = curve[[round(1234 * part / 100) for part in range(101)]] / curve[-1]
    found = concentration(phi, strata(visibility))
    assert found.lorenz == pytest.approx(expected.tolist())
    assert (found.lorenz[0], found.lorenz[-1]) == (0.0, 1.0)


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


def test_tier_shares_follow_the_tiers_given() -> None:
    assert tier_shares(torch.tensor([1.0, -2.0, 1.0]).double(), torch.tensor([0, 2, 2])) == pytest.approx(
        {"head": 0.25, "middle": 0.0, "tail": 0.75},
    )


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.integers(0, 5), min_size=1, max_size=60), size=st.integers(1, 60))
def test_the_most_visible_are_the_end_of_the_ranking(values: list[int], size: int) -> None:
    visibility = torch.tensor(values)
    assert most_visible(visibility, size)[:size].tolist() == ranked(visibility)[::-1][:size]


def test_tier_bounds_that_fall_are_refused() -> None:
    with pytest.raises(StateError, match="must rise"):
        strata(torch.arange(5), (0.2, 0.1))
