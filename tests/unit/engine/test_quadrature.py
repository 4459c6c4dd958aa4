"""The integrals are right to 1e-12, also where an end is near-singular, and say when they are not."""

import math

import pytest
import torch
from torch import Tensor

from engine.quadrature import Integral, integrate, integrate_each


def integral(f: object, magnitude: float = 1.0) -> Integral:
    return integrate(lambda t, u: f(t, u)[:, None], magnitude=torch.tensor([magnitude], dtype=torch.float64))


@pytest.mark.parametrize("epsilon", [1.0, 1e-2, 1e-4, 1e-8, 1e-12, 1e-15])
def test_an_almost_empty_start_is_integrated_to_full_precision(epsilon: float) -> None:
    found = integral(lambda t, _: 1 / (epsilon + t))
    assert float(found.value) == pytest.approx(math.log1p(1 / epsilon), rel=1e-12)
    assert found.relative_error <= 1e-12


@pytest.mark.parametrize("epsilon", [1e-2, 1e-8, 1e-15])
def test_an_almost_empty_end_is_integrated_to_full_precision(epsilon: float) -> None:
    found = integral(lambda _, u: 1 / (epsilon + u))
    assert float(found.value) == pytest.approx(math.log1p(1 / epsilon), rel=1e-12)


@pytest.mark.parametrize("centre", [0.25, 1 / 3, 0.7])
def test_a_narrow_peak_in_the_middle_is_found_by_bisection(centre: float) -> None:
    width = 1e-3
    found = integral(lambda t, _: width / (width**2 + (t - centre) ** 2))
    assert float(found.value) == pytest.approx(math.atan((1 - centre) / width) + math.atan(centre / width), rel=1e-12)


def test_square_roots_at_an_end_converge() -> None:
    found = integral(lambda t, _: t.sqrt())
    assert float(found.value) == pytest.approx(2 / 3, rel=1e-12)


def test_a_pole_at_the_start_is_said_not_to_converge() -> None:
    assert integral(lambda t, _: 1 / t).relative_error > 1e-9


def test_a_value_that_is_not_finite_is_an_infinite_error() -> None:
    assert integral(lambda t, _: t * math.nan).relative_error == math.inf


def test_digits_below_the_rounding_of_the_terms_are_not_chased() -> None:
    calls = []

    def noise(t: Tensor, _: Tensor) -> Tensor:
        calls.append(len(t))
        return ((1e8 + t) - 1e8) - t

    assert integral(noise, magnitude=1e8).relative_error <= 1e-9
    assert len(calls) == 1


def test_functions_integrated_together_give_what_each_gives_alone() -> None:
    epsilons = torch.tensor([1.0, 1e-3, 1e-9, 0.5], dtype=torch.float64)

    def each(t: Tensor, _: Tensor, which: Tensor) -> Tensor:
        return (1 / (epsilons[which] + t[:, None]))[:, :, None]

    found = integrate_each(each, torch.ones((4, 1), dtype=torch.float64))
    expected = [math.log1p(1 / epsilon) for epsilon in epsilons.tolist()]
    assert [float(one.value) for one in found] == pytest.approx(expected, rel=1e-12)
