"""Who carries a phenomenon: the Aumann-Shapley value of every agent, by two sweeps and K scalar integrals.

Promises that Σφ = F(M¹) − F(M⁰) to the tolerance, or that the answer says that it does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import get_args

import torch
from torch import Tensor

from engine import oceanic, path
from engine.contributions import Game, game
from engine.errors import EngineError, IndicatorError, StateError, attempt
from engine.fusion import Fusion, sweeper
from engine.indicators import Indicator
from engine.meeting import Alone, Meeting
from engine.panic import PanicMemory, remembered
from engine.ranking import Strata
from engine.results import Attribution, Baseline, Method
from engine.shares import Shares, Solved, second_sweep
from engine.state import State
from engine.sweep import Sweeper
from engine.totals import Totals, first_sweep, fix_means

TOLERANCE = 1e-9
"""Greatest relative residual and lambda error of an answer that may be published."""
MOST_WHALES = 10
_ROUNDING = 64 * torch.finfo(torch.float64).eps
"""Relative, of the terms of F's rise: no quadrature knows λ better."""
_TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True, slots=True)
class Terms:
    """How games are to be solved. `gap` asks for `finite_gap` whichever the method."""

    method: Method = "aumann-shapley"
    whales: int = 6
    tolerance: float = TOLERANCE
    gap: bool = False
    ranking: Strata | None = None
    meeting: Meeting = field(default_factory=Alone)

    def __post_init__(self) -> None:
        if not 0 <= self.whales <= MOST_WHALES:
            raise EngineError(
                f"{self.whales} whales are asked for; their subsets are enumerated, so 0 to {MOST_WHALES}"
            )
        if self.method not in get_args(Method):
            raise EngineError(f"there is no method {self.method!r}; the methods are {', '.join(get_args(Method))}")

    @property
    def finite(self) -> bool:
        """Whether the oceanic game is solved."""
        return self.gap or self.method == "oceanic"


@dataclass(frozen=True, slots=True)
class Solution:
    """A game, its answer, and the sums over phi."""

    game: Game
    answer: Attribution
    shares: Shares


def attribute(
    indicator: Indicator,
    state: State,
    baseline: State | None,
    *,
    method: Method = "aumann-shapley",
    whales: int = 6,
    tolerance: float = TOLERANCE,
    gap: bool = False,
    meeting: Meeting | None = None,
    fusion: Fusion | None = None,
) -> Attribution:
    """Attribute F's rise from the baseline to the agents of `state`.

    `baseline` None is the indicator's neutral one; otherwise a State of the same agents in the same order. `gap` asks
    for `finite_gap` under either method. With a `meeting` each rank gives its own agents and gets their phi. A
    `fusion` gives compiled sweeps where it has them. An indicator with memory starts with an empty one.

    Raises:
        StateError: when the two states do not hold the same number of agents on one device.
        IndicatorError: when the indicator does not support the baseline or cannot be evaluated.
        EngineError: when there is no such method, or there are too many whales.
    """
    same_agents(state, baseline)
    kind: Baseline = "neutral" if baseline is None else "preceding"
    terms = Terms(method, whales, tolerance, gap, meeting=meeting or Alone())
    played = game(indicator, kind, state.device)
    (solution,), _ = solve([played], sweeper(state, baseline, fusion), terms)
    if isinstance(solution, IndicatorError):
        raise solution
    if indicator.memory is None:
        return solution.answer
    memory = PanicMemory.empty(state.n, state.device)
    return remembered(solution.answer, memory, indicator.memory, terms.meeting)[0]


def solve(
    games: Sequence[Game | IndicatorError], sweep: Sweeper, terms: Terms
) -> tuple[list[Solution | IndicatorError], Tensor]:
    """Solve games over the same agents together: the columns are read twice for all of them. One fails alone.

    Their phi are also given as one matrix, float64 [games, N].
    """
    fixed = fix_means(games, sweep, terms.meeting)
    totals = first_sweep(fixed, sweep, whales=terms.whales, spread=terms.finite, meeting=terms.meeting)
    plain = [attempt(_plain, game, sums) for game, sums in zip(fixed, totals, strict=True)]
    solved = [attempt(partial(_solved, terms=terms), *each) for each in zip(fixed, totals, plain, strict=True)]
    phi, shares = second_sweep(solved, sweep, method=terms.method, ranking=terms.ranking, meeting=terms.meeting)
    return [attempt(partial(_solution, terms=terms), *each) for each in zip(solved, plain, shares, strict=True)], phi


def same_agents(state: State, baseline: State | None) -> None:
    """Raise StateError unless the two hold the same number of agents on one device."""
    if baseline is not None and (baseline.n, baseline.device) != (state.n, state.device):
        raise StateError(
            f"the baseline holds {baseline.n} agents on {baseline.device} and the state {state.n} on {state.device}; "
            "give the same agents in the same order",
        )


def _plain(game: Game, sums: Totals) -> path.Lambda:
    return path.weights(game.indicator, sums.start[None], sums.end[None])[0]


def _solved(game: Game, sums: Totals, plain: path.Lambda, *, terms: Terms) -> Solved:
    ocean = oceanic.weights(game.indicator, sums, rough=terms.method != "oceanic") if terms.finite else None
    return Solved(game, sums, plain.weights, ocean)


def _solution(solved: Solved, plain: path.Lambda, share: Shares, *, terms: Terms) -> Solution:
    return Solution(solved.game, _answer(solved, plain, share, terms), share)


def _answer(solved: Solved, plain: path.Lambda, share: Shares, terms: Terms) -> Attribution:
    """Say it with its certificate.

    The residual is relative to F's values, or, where these are no larger than the rounding of the terms that F's rise
    is made of, to that: what float64 cannot tell from zero is none.
    """
    sums = solved.sums
    rise = plain.value - plain.baseline_value
    terms_size = float((solved.weights.abs() * (sums.end.abs() + sums.start.abs())).sum())
    scale = max(abs(plain.value), abs(plain.baseline_value), _ROUNDING / terms.tolerance * terms_size, _TINY)
    residual = abs(share.total - rise) / scale
    error, exhausted = plain.error, plain.exhausted
    if solved.ocean is not None and terms.method == "oceanic":
        error, exhausted = solved.ocean.error, solved.ocean.exhausted
    return Attribution(
        indicator=solved.game.indicator.name,
        baseline=solved.game.baseline,
        method=terms.method,
        value=plain.value,
        baseline_value=plain.baseline_value,
        phi=share.phi,
        sum_phi=share.total,
        residual=residual,
        lambda_error=error,
        ok=residual <= terms.tolerance and error <= terms.tolerance,
        reason=_shortfall(residual, error, terms.tolerance, exhausted=exhausted),
        finite_gap=share.finite_gap,
        weights=tuple(solved.weights.tolist()),
        start=tuple(sums.start.tolist()),
        end=tuple(sums.end.tolist()),
    )


def _shortfall(residual: float, error: float, tolerance: float, *, exhausted: bool) -> str | None:
    """Say what misses the tolerance, or None."""
    found = []
    if not residual <= tolerance:
        found.append(f"Σφ misses F's rise by {residual:.1e} of F, so F may jump on the path")
    if not error <= tolerance:
        given_up = "were given up after too many evaluations" if exhausted else "do not converge"
        found.append(f"λ is uncertain by {error:.1e}: its integrals {given_up}, so F may jump or have a pole")
    return "; ".join(found) or None
