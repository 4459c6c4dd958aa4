"""The oceanic game: the most massive agents join as a whole, the others as an ocean, with a second-order correction.

How far Aumann-Shapley is from the Shapley value of the finite game is told by how far it is from this (design §6).
With a(t) = t^|A| (1−t)^(m−|A|) the chance that the whales A are in, H and T the derivatives of F, and S the ocean's
ΣΔgΔgᵀ, everything follows from q = F + ½t(1−t)⟨H, S⟩ at the 2^m corners M_A(t) = M⁰ + tΔM_ocean + Σ_A Δg:
the ocean's weights are ∫Σ a ∇q, its quadratic form ∫Σ a (½−t)H, and a whale's part ∫Σ (q with it − q without it).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.derivatives import corrected, values
from engine.indicators import Indicator
from engine.quadrature import FEW_ORDERS, ORDERS, TOLERANCE, integrate
from engine.totals import Totals

_AT_ONCE = 1 << 11
"""Corners evaluated at once: bounded scratch however fine the mesh, for third derivatives in 12 moments some 30 MB."""
MOST_CORNERS = 1 << 20
"""Corners at which F and its derivatives are evaluated at most: seconds for an F that jumps, and not minutes."""
_ROUGH_TOLERANCE, _ROUGH_CORNERS = 1e-6, 1 << 18
"""The same of integrals that only say how far apart the methods are."""


@dataclass(frozen=True, slots=True)
class Ocean:
    """`weights` [K] and `quadratic` [K, K] for the ocean, `whales` [m] the whales' own phi, and the relative error.

    `exhausted` says that the integrals were given up for having been evaluated often enough.
    """

    weights: Tensor
    quadratic: Tensor
    whales: Tensor
    error: float
    exhausted: bool = False


def weights(indicator: Indicator, sums: Totals, *, rough: bool = False) -> Ocean:
    """Integrate over the corners. Takes totals that were swept with `spread`.

    `rough` is as exact as the gap between the methods asks for.

    Raises:
        IndicatorError: when F or its derivatives cannot be evaluated.
    """
    assert sums.whales is not None
    assert sums.rise is not None
    assert sums.spread is not None
    rise, spread = sums.rise, sums.spread
    m, k = sums.whales.rows.shape
    if not bool(spread.any()):
        # There is no ocean: what is left is the whales' own game, whose value is exact.
        return _whales_alone(indicator, sums.start, sums.whales.rows)
    inside = _subsets(m)
    corners = inside @ sums.whales.rows

    def integrand(t: Tensor, u: Tensor) -> Tensor:
        line = sums.start + t[:, None] * rise
        return _corners(indicator, spread=spread, line=line, corners=corners, inside=inside, t=t, u=u)

    magnitude = _magnitude(indicator, sums, torch.cat((sums.start + corners, sums.start + rise + corners)), m)
    integral = integrate(
        integrand,
        magnitude=magnitude,
        tolerance=_ROUGH_TOLERANCE if rough else TOLERANCE,
        most=(_ROUGH_CORNERS if rough else MOST_CORNERS) // len(corners),
        orders=FEW_ORDERS if rough else ORDERS,
    )
    found = integral.value
    quadratic = found[k : k + k * k].reshape(k, k)
    return Ocean(found[:k], quadratic, found[k + k * k :], integral.relative_error, integral.exhausted)


def _whales_alone(indicator: Indicator, start: Tensor, rows: Tensor) -> Ocean:
    """The Shapley value of the game of the whales, by enumeration."""
    m, k = rows.shape
    inside = _subsets(m)
    level = values(indicator, start + inside @ rows)
    size = inside.sum(1)
    others = torch.lgamma(size + 1) + torch.lgamma(m - size) - math.lgamma(m + 1)
    shares = torch.zeros(m, dtype=torch.float64)
    for whale in range(m):
        without = (inside[:, whale] == 0).nonzero()[:, 0]
        shares[whale] = (others[without].exp() * (level[without + (1 << whale)] - level[without])).sum()
    return Ocean(torch.zeros(k, dtype=torch.float64), torch.zeros((k, k), dtype=torch.float64), shares, 0.0)


def _subsets(m: int) -> Tensor:
    """Which of m whales are in each of the 2^m subsets, float64 [2^m, m]; bit j of a subset's number is whale j."""
    return ((torch.arange(2**m)[:, None] >> torch.arange(m)) & 1).to(torch.float64)


def _magnitude(indicator: Indicator, sums: Totals, ends: Tensor, m: int) -> Tensor:
    """The size of the terms of each component, in the integrand's order."""
    level = values(indicator, ends).abs().max()
    moments = (sums.start.abs() + sums.end.abs()).clamp(min=torch.finfo(torch.float64).tiny)
    slope = level / moments
    return torch.cat((slope, (slope[:, None] / moments).reshape(-1), level.expand(m)))


def _corners(
    indicator: Indicator,
    *,
    spread: Tensor,
    line: Tensor,
    corners: Tensor,
    inside: Tensor,
    t: Tensor,
    u: Tensor,
) -> Tensor:
    """The integrand at each node: the ocean's weights, its quadratic form and the whales' parts, [T, K + K² + m]."""
    subsets, m = inside.shape
    k = line.shape[1]
    out = []
    for nodes in _blocks(len(t), max(1, _AT_ONCE // subsets)):
        at = (line[nodes, None] + corners).reshape(-1, k)
        half = t[nodes] * u[nodes] / 2
        level, slope, curve = corrected(indicator, at, spread, half.repeat_interleave(subsets))
        level = level.reshape(-1, subsets)
        size = inside.sum(1)
        chance = t[nodes, None] ** size * u[nodes, None] ** (m - size)
        ocean = torch.einsum("ns,nsk->nk", chance, slope.reshape(-1, subsets, k))
        form = torch.einsum("ns,nskl->nkl", chance * (0.5 - t[nodes, None]), curve.reshape(-1, subsets, k, k))
        parts = [_whale(level, inside, whale, t[nodes], u[nodes]) for whale in range(m)]
        out.append(torch.cat((ocean, form.reshape(-1, k * k), *(part[:, None] for part in parts)), dim=1))
    return torch.cat(out)


def _whale(level: Tensor, inside: Tensor, whale: int, t: Tensor, u: Tensor) -> Tensor:
    """Σ over A without the whale of t^|A| (1−t)^(m−1−|A|) (q with it − q without it), [T]."""
    without = (inside[:, whale] == 0).nonzero()[:, 0]
    size = inside[without].sum(1)
    chance = t[:, None] ** size * u[:, None] ** (inside.shape[1] - 1 - size)
    return (chance * (level[:, without + (1 << whale)] - level[:, without])).sum(1)


def _blocks(n: int, size: int) -> list[Tensor]:
    return [torch.arange(start, min(start + size, n)) for start in range(0, n, size)]
