"""Every agent's phi is the Aumann-Shapley value, to the certificate's tolerance, whatever the population."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.attribution import attribute
from engine.builtin import BUILT_IN
from engine.columns import COLUMNS, INDEX
from engine.errors import EngineError, IndicatorError, StateError
from engine.indicators import SAME, Everyone, Indicator, ratio
from engine.registry import get
from engine.results import Attribution, Method
from engine.state import State
from tests.populations import crowd, population
from tests.reference import REFERENCES

NEUTRAL = [indicator.name for indicator in BUILT_IN if "neutral" in indicator.baselines]
PLAIN = sorted(REFERENCES)


def made(n: int, seed: int) -> State:
    return State(torch.from_numpy(population(n, seed)))


def state(**columns: list[int]) -> State:
    n = len(next(iter(columns.values())))
    return State.from_columns({name: np.array(values) for name, values in columns.items()}, n)


def close(phi: Tensor, expected: Tensor, scale: float) -> bool:
    return bool(((phi - expected).abs() <= 1e-11 * max(scale, 1e-300)).all())


def by_quadrature(name: str, now: np.ndarray, before: np.ndarray | None) -> Tensor:
    """The path integral done the slow way: 400 Gauss points on each of 40 pieces, F in NumPy's table form."""
    game = REFERENCES[name].game(now, before)
    points, weights = np.polynomial.legendre.leggauss(100)
    edges = np.concatenate(([0.0], 2.0 ** np.arange(-40, 1)))
    total = torch.zeros(game.delta.shape[1], dtype=torch.float64)
    for low, high in itertools.pairwise(edges):
        t = torch.from_numpy(low + (high - low) * (points + 1) / 2)
        at = (game.start + t[:, None] * game.delta.sum(0)).requires_grad_()
        (slope,) = torch.autograd.grad(game.values(at).sum(), at)
        total += torch.from_numpy(weights * (high - low) / 2) @ slope
    return game.delta @ total


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("change", [False, True])
def test_phi_is_the_path_integral_of_the_designs_table(name: str, *, change: bool) -> None:
    now, before = population(400, 1), population(400, 2) if change else None
    found = attribute(
        get(name), State(torch.from_numpy(now)), None if before is None else State(torch.from_numpy(before))
    )
    expected = by_quadrature(name, now, before)
    assert found.ok
    assert close(found.phi, expected, float(expected.abs().max()))


def test_polarization_has_its_closed_form() -> None:
    x = state(posts=[3, 2, 1, 4], scored=[2, 1, 0, 3], valence=[9000, -7000, 0, 1500], likes_in=[5, 0, 9, 1])
    weight = torch.tensor([6.0, 1.0, 0.0, 2.0], dtype=torch.float64)
    s = torch.tensor([0.45, -0.7, 0.0, 0.05], dtype=torch.float64)
    total = weight.sum()
    mean = (weight * s).sum() / total
    assert close(attribute(get("polarization"), x, None).phi, weight * s * (s - mean) / total, 1.0)


def test_cascade_and_activity_share_by_what_each_did() -> None:
    x = state(posts=[1, 1, 0], reposts_in=[6, 0, 3], likes=[0, 2, 2])
    cascade, activity = attribute(get("cascade"), x, None), attribute(get("activity"), x, None)
    assert close(cascade.phi, torch.log1p(torch.tensor(4.5)).double() * torch.tensor([6.0, 0.0, 3.0]).double() / 9, 1e4)
    assert cascade.value == pytest.approx(np.log1p(4.5))
    assert activity.value == pytest.approx(np.log1p(2.0))
    assert activity.phi.tolist() == pytest.approx((np.log1p(2.0) * np.array([1, 3, 2]) / 6).tolist())


def test_synchrony_of_one_phase_is_twelve_and_equal_agents_share_it() -> None:
    x = state(posts=[4, 4, 4], phase_05=[4, 4, 4])
    found = attribute(get("synchrony"), x, None)
    assert (found.value, found.baseline_value) == pytest.approx((12.0, 1.0))
    assert found.phi.tolist() == pytest.approx([11 / 3] * 3)


@pytest.mark.parametrize("name", NEUTRAL)
@pytest.mark.parametrize("method", ["aumann-shapley", "oceanic"])
@settings(max_examples=12, deadline=None)
@given(n=st.integers(1, 60), seed=st.integers(0, 10**6), change=st.booleans())
@example(n=5, seed=510511, change=True)  # F is 0 in both windows, and phi is not
def test_efficiency_symmetry_null_players_and_order(name: str, method: str, n: int, seed: int, *, change: bool) -> None:
    table = population(n, seed)
    # Two agents alike, one who does nothing, and everybody in another order.
    table = np.concatenate((table, table[:, :1], np.zeros((len(COLUMNS), 1), np.int32)), 1)
    before = np.concatenate((population(n + 1, seed + 1), np.zeros((len(COLUMNS), 1), np.int32)), 1)
    before[:, n] = before[:, 0]
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n + 2))
    now, then = State(torch.from_numpy(table)), State(torch.from_numpy(before)) if change else None
    found = attribute(get(name), now, then, method=method)
    again = attribute(get(name), now.pick(order), None if then is None else then.pick(order), method=method)
    scale = max(abs(found.value), abs(found.baseline_value), float(found.phi.abs().max()), 1e-6 * terms(found))
    if found.ok:
        assert float(found.phi.sum()) == pytest.approx(found.value - found.baseline_value, abs=1e-9 * scale)
        assert close(again.phi, found.phi[order], 100 * scale)
        assert float(found.phi[n]) == pytest.approx(float(found.phi[0]), abs=1e-9 * scale)
    else:
        assert is_jump(found) or method == "oceanic"  # whales who leave may empty a denominator, and few are the others
    assert float(found.phi[-1]) == 0.0


def terms(found: Attribution) -> float:
    """The size of the terms that F is made of, whose rounding no sum can be free of."""
    sizes = zip(found.weights, found.start, found.end, strict=True)
    return sum(abs(weight) * (abs(start) + abs(end)) for weight, start, end in sizes)


def is_jump(found: Attribution) -> bool:
    """Whether F has an empty denominator at just one end, and so no path to be integrated along."""
    below = -1 if found.indicator in {"cascade", "activity"} else 0
    sums = (
        (sum(found.start), sum(found.end)) if found.indicator == "synchrony" else (found.start[below], found.end[below])
    )
    return sums.count(0) == 1


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 40), seed=st.integers(0, 10**6), a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_phi_is_linear_in_f(n: int, seed: int, a: float, b: float) -> None:
    x, y = made(n, seed), made(n, seed + 1)

    def g(x: State) -> tuple[Tensor, Tensor]:
        return x.acts, x.received

    def f(m: Tensor) -> Tensor:
        return torch.log1p(m[0]) * m[1]

    def h(m: Tensor) -> Tensor:
        return m[0] / (1 + m[1])

    apart = [attribute(Indicator("part", g, each), x, y).phi for each in (f, h)]
    both = attribute(Indicator("both", g, lambda m: a * f(m) + b * h(m)), x, y).phi
    scale = sum(float(phi.abs().max()) for phi in apart)
    assert close(both, a * apart[0] + b * apart[1], 100 * scale)


@pytest.mark.parametrize("name", ["cascade", "synchrony"])
@settings(max_examples=20, deadline=None)
@given(n=st.integers(4, 40), seed=st.integers(0, 10**6))
def test_merged_agents_carry_what_they_carried_apart(name: str, n: int, seed: int) -> None:
    table = population(n, seed)
    merged = np.concatenate((table[:, 2:], table[:, :2].sum(1, keepdims=True, dtype=np.int32)), 1)
    apart = attribute(get(name), State(torch.from_numpy(table)), None)
    joined = attribute(get(name), State(torch.from_numpy(merged)), None)
    scale = 100 * max(apart.value, 1.0)
    assert close(joined.phi[:-1], apart.phi[2:], scale)
    assert float(joined.phi[-1]) == pytest.approx(float(apart.phi[:2].sum()), abs=1e-9 * scale)


@pytest.mark.parametrize("name", NEUTRAL)
@pytest.mark.parametrize("method", ["aumann-shapley", "oceanic"])
def test_extremes_stay_within_the_certificate(name: str, method: str) -> None:
    most = 2**31 - 1
    one = State(torch.ones((len(COLUMNS), 1), dtype=torch.int32))
    silent = State(torch.zeros((len(COLUMNS), 5), dtype=torch.int32))
    nobody = State(torch.zeros((len(COLUMNS), 0), dtype=torch.int32))
    full = population(50, 3)
    full[:, 7] = most
    whale = population(1000, 4)
    whale[:, 0] = whale[:, 1:].sum(1) * 99
    for x in (one, silent, nobody, State(torch.from_numpy(full)), State(torch.from_numpy(whale))):
        found = attribute(get(name), x, None, method=method, gap=True)
        assert found.ok, (x.n, found.residual, found.lambda_error)
        assert torch.isfinite(found.phi).all()
        assert found.residual <= 1e-9


def test_all_silent_agents_carry_nothing() -> None:
    silent = State(torch.zeros((len(COLUMNS), 5), dtype=torch.int32))
    for name in NEUTRAL:
        found = attribute(get(name), silent, None)
        assert (found.value, found.phi.abs().sum()) == (0.0, 0.0)


@pytest.mark.parametrize("name", PLAIN)
def test_an_almost_empty_preceding_window_is_attributed_to_the_last_digit(name: str) -> None:
    now, before = population(3000, 5), np.zeros((len(COLUMNS), 3000), np.int32)
    before[:, 0] = 1
    found = attribute(get(name), State(torch.from_numpy(now)), State(torch.from_numpy(before)))
    assert found.ok
    assert found.lambda_error <= 1e-11
    back = attribute(get(name), State(torch.from_numpy(before)), State(torch.from_numpy(now)))
    assert back.ok
    assert close(back.phi, -found.phi, 10 * float(found.phi.abs().max()))


@pytest.mark.parametrize("name", PLAIN)
def test_an_empty_preceding_window_from_which_f_jumps_is_not_called_good(name: str) -> None:
    found = attribute(get(name), made(300, 6), State(torch.zeros((len(COLUMNS), 300), dtype=torch.int32)))
    assert not found.ok
    assert torch.isfinite(found.phi).all()


def test_agents_in_many_chunks_give_what_one_chunk_gives() -> None:
    x = made(70_000, 7)
    found = attribute(get("polarization"), x, None, gap=True)
    s = x["valence"] * 1e-4 / x["scored"].clamp(min=1)
    weight = (1 + x.received) * (x["scored"] > 0)
    mean = (weight * s).sum() / weight.sum()
    assert close(found.phi, weight * s * (s - mean) / weight.sum(), float(found.phi.abs().max()) * 10)
    assert found.residual <= 1e-12


def test_the_same_state_gives_the_same_bits() -> None:
    x, y = made(70_000, 8), made(70_000, 9)
    for name in PLAIN:
        runs = [attribute(get(name), x, y, method="oceanic") for _ in range(2)]
        assert torch.equal(runs[0].phi, runs[1].phi)
        assert runs[0].finite_gap == runs[1].finite_gap


@pytest.mark.parametrize("name", PLAIN)
def test_int64_columns_give_what_int32_columns_give(name: str) -> None:
    x, y = made(500, 1), made(500, 2)
    wide = attribute(get(name), State(x.columns.to(torch.int64)), State(y.columns.to(torch.int64)), gap=True)
    narrow = attribute(get(name), x, y, gap=True)
    assert close(wide.phi, narrow.phi, float(narrow.phi.abs().max()))
    assert wide.finite_gap == pytest.approx(narrow.finite_gap, rel=1e-9)


@pytest.mark.parametrize(
    ("asked", "message"),
    [({"whales": 11}, "11 whales"), ({"whales": -1}, "-1 whales"), ({"method": "shapley"}, "no method 'shapley'")],
)
def test_a_method_that_is_none_is_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        attribute(get("cascade"), made(4, 1), None, **asked)


def test_states_of_different_sizes_are_refused() -> None:
    with pytest.raises(StateError, match="the baseline holds 3 agents"):
        attribute(get("cascade"), made(4, 1), made(3, 1))


def test_panic_has_no_neutral_baseline() -> None:
    with pytest.raises(IndicatorError, match="'panic' has no neutral baseline"):
        attribute(get("panic"), made(4, 1), None)


def fails(_: object) -> Tensor:
    raise ValueError("no such thing")


def likes(x: State) -> tuple[Tensor]:
    return (x["likes"],)


def level(m: Tensor) -> Tensor:
    return torch.log1p(m[0])


BROKEN: dict[str, tuple[Indicator, str]] = {
    "g raises": (Indicator("mine", fails, level), "g of 'mine' failed: no such thing"),
    "F raises": (Indicator("mine", likes, fails), "F of 'mine' failed: no such thing"),
    "g of a wrong shape": (Indicator("mine", lambda x: (x["likes"][:1],), level), r"g of 'mine' gives a row of \[1\]"),
    "g of one number for all": (Indicator("mine", lambda x: x["likes"].sum()[None, None], level), "row of"),
    "g gives nothing": (Indicator("mine", lambda _: (), level), "gives no rows"),
    "g gives text": (Indicator("mine", lambda _: ("likes",), level), "row of str"),
    "g is not finite": (
        Indicator("mine", lambda x: (x["likes"] / x["posts"],), level),
        "totals of 'mine' are not finite",
    ),
    "F is not finite": (Indicator("mine", likes, lambda m: torch.log(m[0] * 0)), "F of 'mine' is -inf"),
    "F of a wrong shape": (Indicator("mine", likes, lambda m: m), r"F of 'mine' gives \[1\]"),
    "F branches": (Indicator("mine", likes, lambda m: m[0] if m[0] > 0 else m[0] * 2), "F of 'mine' failed"),
    "F is no tensor": (Indicator("mine", likes, lambda _: 3.0), "F of 'mine'"),  # type: ignore[arg-type,return-value]
    "too few names": (Indicator("mine", likes, level, moments=("a", "b")), "gives 1 rows and 2 are named"),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_users_broken_indicator_is_named_with_its_cause(case: str) -> None:
    indicator, message = BROKEN[case]
    with pytest.raises(IndicatorError, match=message):
        attribute(indicator, made(2000, 1), made(2000, 2))


@pytest.mark.parametrize(
    ("neutral", "message"),
    [
        (fails, "the neutral baseline of 'mine' failed"),
        (lambda x: (x["likes"], x["likes"]), "gives 2 rows where 1 are due"),
        (lambda x: (x["likes"][1:],), "gives a row of"),
        (Everyone(lambda m: (m[0], m[0])), "gives 2 rows where 1 are due"),
    ],
)
def test_a_users_broken_neutral_baseline_is_named_too(neutral: Callable[[State], Tensor], message: str) -> None:
    with pytest.raises(IndicatorError, match=message):
        attribute(Indicator("mine", likes, level, neutral), made(200, 1), None)


def test_two_short_functions_and_a_name_make_an_indicator() -> None:
    mine = Indicator("likes_per_post", lambda x: (x["likes"], x["posts"]), lambda m: torch.log1p(ratio(m[0], m[1])))
    found = attribute(mine, made(500, 1), made(500, 2))
    assert found.ok
    neutral = Indicator(mine.name, mine.g, mine.F, lambda _: (0.0, SAME))
    again = attribute(neutral, made(500, 1), None)
    assert again.phi.tolist() == pytest.approx((made(500, 1)["likes"] * again.value / again.end[0]).tolist())


def test_rows_may_be_integers_numbers_or_one_tensor() -> None:
    x, y = made(300, 1), made(300, 2)
    rows = (x["posts"], x["likes"] * 3)
    assert rows[0].dtype == torch.float64
    forms: list[Callable[[State], object]] = [
        lambda x: (x["posts"], 2.0 * x.active),
        lambda x: (x.columns[INDEX["posts"]], 2),
        lambda x: torch.stack((x["posts"], 2 * x.active)),
        lambda x: (x["posts"].to(torch.float32), torch.full((x.n,), 2.0)),
    ]
    phis = [attribute(Indicator("mine", form, lambda m: m[0] / (1 + m[1])), x, y).phi for form in forms]  # type: ignore[arg-type]
    for phi in phis[1:]:
        assert close(phi, phis[0], 1.0)


@pytest.mark.parametrize("method", ["aumann-shapley", "oceanic"])
def test_a_derivative_that_jumps_is_given_up_in_time_and_the_reason_said(method: Method) -> None:
    jumping = Indicator(
        "jumping",
        lambda x: (x["likes"], x["posts"]),
        lambda m: torch.where(torch.sin(m[0] / 3) > 0, m[0], m[1]) * m[0],
        lambda _: (0.0, 0.0),
    )
    x = State(torch.from_numpy(crowd(500, 3)))
    found = attribute(jumping, x, None, method=method, gap=True)
    assert not found.ok
    assert found.reason is not None
    assert "F may jump" in found.reason
    assert attribute(get("cascade"), x, None, method=method).reason is None


def test_differences_of_counts_do_not_wrap() -> None:
    most = torch.iinfo(torch.int32).max
    low, high = torch.zeros(3, dtype=torch.int32), torch.full((3,), most, dtype=torch.int32)
    down, up = (
        attribute(
            Indicator("sum", lambda x: x.columns[:1].unbind(), lambda m: m[0]),
            State.from_columns({"posts": now, "likes": torch.ones(3, dtype=torch.int32)}, 3),
            State.from_columns({"posts": before, "likes": torch.ones(3, dtype=torch.int32)}, 3),
        )
        for now, before in ((low, high), (high, low))
    )
    assert down.phi.tolist() == pytest.approx([-most] * 3)
    assert up.phi.tolist() == pytest.approx([most] * 3)
    overflowing = torch.tensor([most, -most], dtype=torch.int32)
    found = attribute(
        Indicator("valence", lambda x: x.columns[INDEX["valence"]].unsqueeze(0).unbind(), lambda m: m[0] + m[0] ** 3),
        State.from_columns({"valence": overflowing, "posts": torch.ones(2, dtype=torch.int32)}, 2),
        State.from_columns({"valence": -overflowing, "posts": torch.ones(2, dtype=torch.int32)}, 2),
    )
    assert found.phi.tolist() == pytest.approx([2 * most, -2 * most])
