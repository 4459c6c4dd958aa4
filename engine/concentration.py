"""Who carries an attribution: tier shares, the Lorenz curve, effective contributors, sums over any grouping."""

import numpy as np
import torch
from torch import Tensor

from engine.meeting import Alone, Meeting
from engine.memory import room
from engine.ranking import PERCENTILES, Strata
from engine.results import TIERS, Concentration, Tier


def sums(phi: Tensor, label: Tensor, groups: int) -> Tensor:
    """Σφ over each group, float64 [..., groups]; `label` int64 [N] holds each agent's group. Their sum is Σφ.

    `phi` is [N], or [games, N] for a row of groups each.
    """
    return phi.new_zeros((*phi.shape[:-1], groups)).scatter_add_(-1, label.expand(phi.shape), phi)


def concentration(phi: Tensor, ranking: Strata, meeting: Meeting | None = None) -> Concentration:
    """Say who carries `phi` [N], with all ranks' where there is a meeting."""
    size = torch.abs(phi, out=room(tuple(phi.shape), phi.device))
    mass = sums(size, ranking.label, len(ranking.tier)).cpu()
    own = torch.cat((mass, torch.stack((phi.sum(), torch.dot(phi, phi))).cpu()))
    found = (meeting or Alone()).total(own)
    return from_sums(found[:-2], ranking, signed=float(found[-2]), square=float(found[-1]))


def from_sums(mass: Tensor, ranking: Strata, *, signed: float, square: float) -> Concentration:
    """Say it from Σ|φ| by stratum, Σφ and Σφ², each over all ranks."""
    total = float(mass.sum())
    return Concentration(
        tier_shares=shares(mass, ranking.tier),
        effective_contributors=total * total / square if square > 0 else 0.0,
        positive_mass=(total + signed) / 2,
        negative_mass=(total - signed) / 2,
        lorenz=_lorenz(mass, ranking.size),
    )


def shares(mass: Tensor, tier: Tensor) -> dict[Tier, float]:
    """Share of all mass by tier; zeros where there is none. `tier` holds an index of TIERS for each mass."""
    total = float(mass.sum())
    by_tier = torch.bincount(tier, weights=mass, minlength=len(TIERS))
    return {name: float(by_tier[index]) / total if total > 0 else 0.0 for index, name in enumerate(TIERS)}


def _lorenz(mass: Tensor, size: Tensor) -> list[float]:
    """The cumulative share at 0, 1, … 100 percent of the agents; within a stratum it rises evenly."""
    zero = torch.zeros(1, dtype=torch.float64)
    agents, curve = (torch.cat((zero, torch.cumsum(each, 0))) for each in (size, mass))
    total = float(curve[-1])
    if not total > 0:
        return [0.0] * (PERCENTILES + 1)
    edges = np.arange(PERCENTILES + 1) * float(agents[-1]) / PERCENTILES
    found: list[float] = np.interp(edges, agents.numpy(), (curve / total).numpy()).tolist()
    return found
