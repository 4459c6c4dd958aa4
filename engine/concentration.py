"""Who carries an attribution: tier shares, the Lorenz curve, effective contributors, sums over any grouping."""

import torch
from torch import Tensor

from engine.ranking import Strata, strata
from engine.results import TIERS, Concentration, Tier


def tiers(visibility: Tensor, bounds: tuple[float, float] = (0.01, 0.10)) -> Tensor:
    """Each agent's tier as an index of TIERS (head, middle, tail), int8 [N]; see `engine.ranking.strata`."""
    return strata(visibility, bounds).tiers


def sums(phi: Tensor, label: Tensor, groups: int) -> Tensor:
    """Σφ over each group, float64 [groups]; `label` int64 [N] holds each agent's group. Their sum is Σφ."""
    return torch.bincount(label, weights=phi, minlength=groups)


def concentration(phi: Tensor, ranking: Strata) -> Concentration:
    """Say who carries `phi` [N]."""
    mass = sums(phi.abs(), ranking.label, len(ranking.tier)).cpu()
    return from_sums(mass, ranking, signed=float(phi.sum()), square=float(torch.dot(phi, phi)))


def from_sums(mass: Tensor, ranking: Strata, *, signed: float, square: float) -> Concentration:
    """Say it from Σ|φ| by stratum, Σφ and Σφ²."""
    total = float(mass.sum())
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
