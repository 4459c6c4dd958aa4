"""Who carries an attribution: tiers by visibility, the Lorenz curve, effective contributors, sums over any grouping."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import StateError
from engine.results import TIERS, Concentration, Tier

PERCENTILES = 100


@dataclass(frozen=True, slots=True)
class Strata:
    """Agents by rank of visibility, the most visible last, equals by index with the first the more visible.

    A stratum lies in one hundredth of the agents and in one tier. `label` is int64 [N], the stratum of each agent;
    `below` [101] is how many strata lie below each percentile, `tier` [strata] each stratum's tier, an index of TIERS.
    """

    label: Tensor
    below: Tensor
    tier: Tensor

    @property
    def tiers(self) -> Tensor:
        """Each agent's tier as an index of TIERS, int8 [N]."""
        return self.tier.to(torch.int8)[self.label]


def strata(visibility: Tensor, bounds: tuple[float, float] = (0.01, 0.10)) -> Strata:
    """Rank agents by visibility [N]. `bounds` are the shares of agents in the head, and in head and middle together."""
    n = len(visibility)
    if not 0 <= bounds[0] <= bounds[1] <= 1:
        raise StateError(f"tier bounds are {bounds}; they must rise from 0 to 1")
    head, middle = (n - _ceiling(share * n) for share in bounds)
    edges = [round(n * part / PERCENTILES) for part in range(PERCENTILES + 1)]
    cuts = torch.tensor(sorted({*edges, head, middle} - {n}), dtype=torch.int64)
    order = torch.argsort(visibility.flip(0), stable=True)
    label = torch.empty(n, dtype=torch.int64, device=visibility.device)
    ranks = torch.searchsorted(cuts.to(visibility.device), torch.arange(n, device=visibility.device), right=True) - 1
    label[n - 1 - order] = ranks
    tier = torch.where(cuts >= head, 0, torch.where(cuts >= middle, 1, 2))
    return Strata(label, torch.searchsorted(cuts, torch.tensor(edges)), tier)


def tiers(visibility: Tensor, bounds: tuple[float, float] = (0.01, 0.10)) -> Tensor:
    """Each agent's tier as an index of TIERS (head, middle, tail), int8 [N]."""
    return strata(visibility, bounds).tiers


def sums(phi: Tensor, label: Tensor, groups: int) -> Tensor:
    """Σφ over each group, float64 [groups]; `label` [N] holds each agent's group. Their sum is Σφ."""
    return torch.bincount(label, weights=phi, minlength=groups)


def concentration(phi: Tensor, ranking: Strata) -> Concentration:
    """Say who carries `phi` [N]."""
    size = phi.abs()
    mass = sums(size, ranking.label, len(ranking.tier)).cpu()
    total, signed, square = float(mass.sum()), float(phi.sum()), float((phi * phi).sum())
    return Concentration(
        tier_shares=_shares(mass, ranking.tier),
        effective_contributors=total * total / square if square > 0 else 0.0,
        positive_mass=(total + signed) / 2,
        negative_mass=(total - signed) / 2,
        lorenz=_lorenz(mass, ranking.below),
    )


def tier_shares(phi: Tensor, tier: Tensor) -> dict[Tier, float]:
    """Share of Σ|φ| by tier; zeros where φ is zero. `tier` [N] holds indices of TIERS."""
    return _shares(sums(phi.abs(), tier.to(torch.int64), len(TIERS)).cpu(), torch.arange(len(TIERS)))


def _shares(mass: Tensor, tier: Tensor) -> dict[Tier, float]:
    total = float(mass.sum())
    by_tier = torch.bincount(tier, weights=mass, minlength=len(TIERS))
    return {name: float(by_tier[index]) / total if total > 0 else 0.0 for index, name in enumerate(TIERS)}


def _lorenz(mass: Tensor, below: Tensor) -> list[float]:
    """The cumulative share at 0, 1, … 100 percent of the agents."""
    curve = torch.cat((torch.zeros(1, dtype=torch.float64), torch.cumsum(mass, 0)))[below]
    total = float(curve[-1])
    return (curve / total if total > 0 else curve).tolist()


def _ceiling(share: float) -> int:
    """Round up, but not what rounding of the product put above a whole number."""
    return math.ceil(round(share, 6))
