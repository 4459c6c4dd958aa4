"""The oracles against games whose Shapley value is known on paper, and against each other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.oracles import Game, exact, sampled, sampled_naively


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def game_of(f, weights: list[float]) -> Game:
    present = torch.tensor(weights, dtype=torch.float64)[:, None]
    return Game(f, present, torch.zeros_like(present))


def ratio_game(n: int, seed: int) -> Game:
    present = torch.rand(n, 2, generator=seeded(seed), dtype=torch.float64) + 0.1
    return Game(lambda m: m[0] / m[1], present, present * torch.tensor([0.5, 0.1], dtype=torch.float64))


def test_three_votes_of_two_one_one_share_power_as_two_thirds_and_two_sixths():
    phi = exact(game_of(lambda m: (m[0] >= 3).double(), [2, 1, 1]))
    torch.testing.assert_close(phi, torch.tensor([4.0, 1.0, 1.0], dtype=torch.float64) / 6)


def test_the_council_of_1958_has_its_published_shapley_shubik_index():
    phi = exact(game_of(lambda m: (m[0] >= 12).double(), [4, 4, 4, 2, 2, 1]))
    torch.testing.assert_close(phi, torch.tensor([14.0, 14, 14, 9, 9, 0], dtype=torch.float64) / 60)


@pytest.mark.parametrize(
    "oracle", [exact, lambda g: sampled(g, 3, seeded()).phi, lambda g: sampled_naively(g, 3, seeded()).phi]
)
def test_in_a_linear_game_each_gets_what_it_adds(oracle):
    present = torch.rand(6, 3, generator=seeded(), dtype=torch.float64)
    absent = torch.rand(6, 3, generator=seeded(2), dtype=torch.float64)
    slope = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    phi = oracle(Game(lambda m: (m * slope).sum(), present, absent))
    torch.testing.assert_close(phi, (present - absent) @ slope)


def test_in_a_square_each_pair_shares_its_product_equally():
    delta = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)
    start = 4.0
    absent = torch.full((4, 1), start / 4, dtype=torch.float64)
    phi = exact(Game(lambda m: m[0] ** 2, absent + delta[:, None], absent))
    torch.testing.assert_close(phi, delta * (2 * start + delta.sum()))


@given(st.integers(1, 8), st.integers(0, 2**31))
def test_the_exact_value_is_efficient_symmetric_and_gives_nothing_for_nothing(n, seed):
    game = ratio_game(n, seed)
    twin_and_idler = torch.cat([game.present, game.present[:1], torch.ones(1, 2, dtype=torch.float64)])
    before = torch.cat([game.absent, game.absent[:1], torch.ones(1, 2, dtype=torch.float64)])
    phi = exact(Game(game.f, twin_and_idler, before))
    whole = game.f(twin_and_idler.sum(0)) - game.f(before.sum(0))
    torch.testing.assert_close(phi.sum(), whole)
    torch.testing.assert_close(phi[0], phi[n])
    assert abs(phi[n + 1]) < 1e-14


def test_sampling_is_unbiased_and_its_standard_error_is_the_true_one():
    game = ratio_game(10, 5)
    truth = exact(game)
    z = torch.stack([(e.phi - truth) / e.standard_error for e in (sampled(game, 500, seeded(s)) for s in range(40))])
    assert z.mean().abs() < 0.2  # 400 correlated deviations of unit size
    assert 0.85 < z.square().mean().sqrt() < 1.15


def test_the_noise_of_an_estimate_falls_with_the_square_root_of_its_permutations():
    game = ratio_game(30, 7)
    few, many = sampled(game, 400, seeded()), sampled(game, 6_400, seeded())
    assert few.noise / many.noise == pytest.approx(4, rel=0.15)


def test_running_sums_and_sums_made_anew_give_the_same_estimate_for_the_same_orders():
    game = ratio_game(25, 3)
    fast, slow = sampled(game, 20, seeded(), cells=1), sampled_naively(game, 20, seeded())
    torch.testing.assert_close(fast.phi, slow.phi, rtol=1e-11, atol=1e-14)
    torch.testing.assert_close(fast.standard_error, slow.standard_error, rtol=1e-9, atol=1e-14)


@given(st.integers(2, 60), st.integers(1, 200))
def test_every_estimate_is_efficient_whatever_the_batches(permutations, cells):
    game = ratio_game(9, 11)
    estimate = sampled(game, permutations, seeded(), cells=cells)
    assert estimate.permutations == permutations
    torch.testing.assert_close(estimate.phi.sum(), game.f(game.present.sum(0)) - game.f(game.start))


def test_the_spread_of_two_equal_joiners_is_known_in_closed_form():
    # In v = M² with two ones, joining first adds 1 and joining second adds 3: mean 2, deviation 1.
    estimate = sampled(game_of(lambda m: m[0] ** 2, [1, 1]), 10_000, seeded(), cells=64)
    assert estimate.phi.tolist() == pytest.approx([2, 2], abs=0.05)
    assert estimate.standard_error.tolist() == pytest.approx([0.01, 0.01], rel=0.01)


def square(m: Tensor) -> Tensor:
    return m[0] ** 2


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(ValueError, match="at most 20"):
        exact(game_of(square, [1.0] * 21))
    with pytest.raises(ValueError, match="at least 2"):
        sampled(game_of(square, [1.0]), 1, seeded())
    with pytest.raises(ValueError, match="one shape"):
        Game(square, torch.zeros(3, 1), torch.zeros(4, 1))
