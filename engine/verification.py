"""Whether an indicator may be trusted: the axioms, a smooth path, and the Shapley value of games small enough to know.

Everything is held against a second way of working it out: contributions evaluated naively here, coalitions enumerated
or sampled by `engine.oracles`. An indicator with memory is verified by the change that it remembers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch

from engine import axioms
from engine.attribution import attribute
from engine.crowds import crowd
from engine.errors import EngineError, IndicatorError
from engine.games import game_of, own_rows
from engine.indicators import Indicator
from engine.oracles import exact, sampled
from engine.results import Baseline
from engine.smoothness import roughest
from engine.state import State

FEW, FEW_GAMES, MANY, MANY_GAMES = 12, 8, 300, 3
SMOOTH_TOLERANCE = 1e-9
EXACT_TOLERANCE = 2e-2
"""Greatest ‖oceanic − Shapley‖ / ‖Shapley‖ in games of `FEW` agents."""
NOISE_TOLERANCE = 1.6
"""Greatest ‖oceanic − sampled‖ over the samples' own noise in games of `MANY`, as a root mean square.

The truth itself would get 1 on average, and in a single game, where one agent has most of the noise, easily 1.6."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing held against the truth. `baseline` is None where none is involved; `found` says what was measured."""

    subject: str
    baseline: Baseline | None
    passed: bool
    found: str


def verify(indicator: Indicator, *, seed: int = 0, permutations: int = 20_000) -> Iterator[Check]:
    """Check an indicator, one thing after another; an error of the indicator's own is a check that failed.

    Where a path is not smooth the others are not tried: integrals along it have no end.
    """
    plain = replace(indicator, memory=None)
    yield _checked("contributions are each agent's own", None, partial(_own, plain, seed))
    paths = [_checked("F is smooth on the path", kind, partial(_smooth, plain, kind, seed)) for kind in plain.baselines]
    yield from paths
    if not all(path.passed for path in paths):
        return
    few = f"{FEW} agents: oceanic within {EXACT_TOLERANCE:.0%} of all coalitions enumerated"
    many = f"{MANY} agents: oceanic within the noise of {permutations:,} permutations"
    for kind in plain.baselines:
        yield _checked("the axioms hold", kind, partial(_axioms, plain, kind, seed))
        yield _checked(few, kind, partial(_few, plain, kind, seed))
        yield _checked(many, kind, partial(_many, plain, kind, seed, permutations))


def _checked(subject: str, baseline: Baseline | None, check: Callable[[], tuple[bool, str]]) -> Check:
    try:
        passed, found = check()
    except EngineError as error:
        passed, found = False, str(error)
    except Exception as error:  # noqa: BLE001 - a user's function, called outside the engine, may raise anything
        passed, found = False, f"{type(error).__name__}: {error}".splitlines()[0]
    return Check(subject, baseline, passed, found)


def _own(indicator: Indicator, seed: int) -> tuple[bool, str]:
    agents = crowd(FEW, seed)
    together = own_rows(indicator, agents)
    if not bool(torch.isfinite(together).all()):
        raise IndicatorError("g gives numbers that are not finite")
    apart = torch.cat([own_rows(indicator, agents.part(i, i + 1)) for i in range(FEW)])
    worst = float(((together - apart).abs() / together.abs().clamp(min=1)).max())
    return worst <= axioms.TOLERANCE, f"alone and in a crowd they differ by {worst:.1e}"


def _states(baseline: Baseline, n: int, seed: int) -> tuple[State, State | None]:
    return crowd(n, 2 * seed), crowd(n, 2 * seed + 1) if baseline == "preceding" else None


def _smooth(indicator: Indicator, baseline: Baseline, seed: int) -> tuple[bool, str]:
    games = (
        game_of(indicator, *_states(baseline, n, seed + number)) for n in (FEW, MANY) for number in range(FEW_GAMES)
    )
    worst, at = max(roughest(game) for game in games)
    found = f"F and the integral of its derivative part by {worst:.1e} of F at most, near t = {at:.3g}"
    return worst <= SMOOTH_TOLERANCE, found


def _axioms(indicator: Indicator, baseline: Baseline, seed: int) -> tuple[bool, str]:
    state, before = _states(baseline, MANY, seed)
    measured = {name: axiom(indicator, state, before) for name, axiom in axioms.AXIOMS.items()}
    found = ", ".join(f"{name} {error:.0e}" for name, error in measured.items())
    return all(error <= axioms.TOLERANCE for error in measured.values()), found


def _few(indicator: Indicator, baseline: Baseline, seed: int) -> tuple[bool, str]:
    oceanic, plain = 0.0, 0.0
    for number in range(FEW_GAMES):
        state, before = _states(baseline, FEW, seed + number)
        truth = exact(game_of(indicator, state, before))
        size = float(truth.norm().clamp(min=torch.finfo(torch.float64).tiny))
        atoms = attribute(indicator, state, before, method="oceanic").phi
        fluid = attribute(indicator, state, before).phi
        oceanic = max(oceanic, float((atoms - truth).norm()) / size)
        plain = max(plain, float((fluid - truth).norm()) / size)
    found = f"in {FEW_GAMES} games oceanic is off by {oceanic:.1e} at most, aumann-shapley by {plain:.1e}"
    return oceanic <= EXACT_TOLERANCE, found


def _many(indicator: Indicator, baseline: Baseline, seed: int, permutations: int) -> tuple[bool, str]:
    oceanic, plain = 0.0, 0.0
    for number in range(MANY_GAMES):
        state, before = _states(baseline, MANY, seed + number)
        truth = sampled(game_of(indicator, state, before), permutations, torch.Generator().manual_seed(seed + number))
        # A game that is linear has no noise but rounding's.
        noise = max(truth.noise, 1e-12 * float(truth.phi.norm()), torch.finfo(torch.float64).tiny)
        atoms = attribute(indicator, state, before, method="oceanic").phi
        fluid = attribute(indicator, state, before).phi
        oceanic += float((atoms - truth.phi).norm() / noise) ** 2 / MANY_GAMES
        plain += float((fluid - truth.phi).norm() / noise) ** 2 / MANY_GAMES
    found = f"in {MANY_GAMES} games oceanic is {oceanic**0.5:.2f} × the noise away, aumann-shapley {plain**0.5:.2f} ×"
    return oceanic**0.5 <= NOISE_TOLERANCE, found
