"""The axioms of the Aumann-Shapley value, each as the relative error by which an indicator's attribution breaks it."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from engine.attribution import attribute
from engine.columns import COLUMNS
from engine.games import game_of
from engine.indicators import Indicator
from engine.state import State

TOLERANCE = 1e-9
"""Greatest error that rounding explains."""

Axiom = Callable[[Indicator, State, State | None], float]


def efficiency(indicator: Indicator, state: State, before: State | None) -> float:
    """Σφ against F's rise, worked out from naive totals."""
    game = game_of(indicator, state, before)
    end, start = (float(game.f(totals)) for totals in (game.present.sum(0), game.start))
    phi = attribute(indicator, state, before).phi
    return abs(float(phi.sum()) - (end - start)) / max(abs(end), abs(start), _TINY)


def null_player(indicator: Indicator, state: State, before: State | None) -> float:
    """φ of somebody who does nothing."""
    idle = State(torch.zeros(len(COLUMNS), 1, dtype=torch.int32))
    phi = attribute(indicator, _joined(state, idle), None if before is None else _joined(before, idle)).phi
    return _relative(phi[-1:], torch.zeros(1, dtype=torch.float64), phi)


def symmetry(indicator: Indicator, state: State, before: State | None) -> float:
    """φ of two agents who are alike."""
    twice = _joined(state, state.part(0, 1))
    phi = attribute(indicator, twice, None if before is None else _joined(before, before.part(0, 1))).phi
    return _relative(phi[:1], phi[-1:], phi)


def order(indicator: Indicator, state: State, before: State | None) -> float:
    """φ of the same agents in reversed order."""
    turned = torch.arange(state.n - 1, -1, -1)
    phi = attribute(indicator, state, before).phi
    back = attribute(indicator, state.pick(turned), None if before is None else before.pick(turned)).phi
    return _relative(back[turned], phi, phi)


def additivity(indicator: Indicator, state: State, before: State | None) -> float:
    """φ of F plus a linear function against φ of F and the linear function's own."""
    game = game_of(indicator, state, before)
    slope = 1 / game.present.sum(0).abs().clamp(min=1)
    both = replace(indicator, F=lambda totals: indicator.F(totals) + (slope * totals).sum())
    phi = attribute(both, state, before).phi
    return _relative(phi, attribute(indicator, state, before).phi + game.delta @ slope, phi)


def merging(indicator: Indicator, state: State, before: State | None) -> float:
    """φ against the linear function of contributions nearest to it: then agents that merge carry what they carried."""
    delta = game_of(indicator, state, before).delta
    scaled = delta / delta.norm(dim=0).clamp(min=_TINY)
    phi = attribute(indicator, state, before).phi
    # gelsd: contributions may well be dependent, as twelve phases against their mean are.
    weights = torch.linalg.lstsq(scaled, phi[:, None], driver="gelsd").solution
    return _relative((scaled @ weights)[:, 0], phi, phi)


AXIOMS: Mapping[str, Axiom] = {
    "efficiency": efficiency,
    "null player": null_player,
    "symmetry": symmetry,
    "order": order,
    "additivity": additivity,
    "merging": merging,
}

_TINY = torch.finfo(torch.float64).tiny


def _joined(state: State, more: State) -> State:
    return State(torch.cat((state.columns, more.columns), dim=1))


def _relative(found: Tensor, expected: Tensor, scale: Tensor) -> float:
    return float((found - expected).abs().max()) / max(float(scale.abs().max()), _TINY)
