"""Agents by rank of visibility, cut into strata: each lies in one hundredth of the agents and in one tier.

The most visible come last, and of equals the first by index is the more visible. No sort of all agents: visibility is
a count with a heavy tail, so a histogram ranks nearly all, and only the few above it are sorted.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import StateError

PERCENTILES = 100
_COUNTED = 1 << 12
"""Values below are counted, values from here on sorted."""
_SMALL = 1 << 14
"""Fewer agents than this are simply sorted."""
_CHUNK = 1 << 15


@dataclass(frozen=True, slots=True)
class Strata:
    """`label` is int64 [N], the stratum of each agent, the least visible first.

    `below` [101] is how many strata lie below each percentile, `tier` [strata] each stratum's tier, an index of TIERS.
    """

    label: Tensor
    below: Tensor
    tier: Tensor

    @property
    def tiers(self) -> Tensor:
        """Each agent's tier as an index of TIERS, int8 [N]."""
        return self.tier.to(dtype=torch.int8, device=self.label.device)[self.label]


def strata(visibility: Tensor, bounds: tuple[float, float] = (0.01, 0.10)) -> Strata:
    """Rank agents by visibility [N], finite and not negative.

    `bounds` are the shares of agents in the head, and in head and middle together, rounded up to whole agents.

    Raises:
        StateError: when the bounds do not rise from 0 to 1.
    """
    n = len(visibility)
    if not 0 <= bounds[0] <= bounds[1] <= 1:
        raise StateError(f"the tier bounds are {bounds}; they must rise from 0 to 1")
    head, middle = (n - _ceiling(share * n) for share in bounds)
    edges = [round(n * part / PERCENTILES) for part in range(PERCENTILES + 1)]
    cuts = torch.tensor(sorted({0, *edges, head, middle} - {n}), dtype=torch.int64)
    tier = torch.where(cuts >= head, 0, torch.where(cuts >= middle, 1, 2))
    label = _sorted_labels(visibility, cuts) if _is_better_sorted(visibility) else _counted_labels(visibility, cuts)
    return Strata(label, torch.searchsorted(cuts, torch.tensor(edges)), tier)


def _is_better_sorted(visibility: Tensor) -> bool:
    whole = not visibility.is_floating_point() or bool((visibility == visibility.floor()).all())
    return len(visibility) < _SMALL or visibility.device.type != "cpu" or not whole


def _sorted_labels(visibility: Tensor, cuts: Tensor) -> Tensor:
    n = len(visibility)
    order = n - 1 - torch.argsort(visibility.flip(0), stable=True)
    label = torch.empty(n, dtype=torch.int64, device=visibility.device)
    label[order] = _strata_of(torch.arange(n), cuts).to(visibility.device)
    return label


def _counted_labels(visibility: Tensor, cuts: Tensor) -> Tensor:
    """The same, by counting: `first` is the rank of a value's last agent; ranks fall as indices rise."""
    value = visibility.clamp(max=_COUNTED).to(torch.int64)
    chunks = torch.split(value, _CHUNK)
    counts = torch.stack([torch.bincount(chunk, minlength=_COUNTED + 1) for chunk in chunks])
    totals = counts.sum(0)
    ends = torch.cumsum(totals, 0)
    # The rank of the first agent of each value in each chunk: what came before in the chunks is above it.
    tops = ends[None] - 1 - (torch.cumsum(counts, 0) - counts)
    high = _strata_of(tops, cuts)
    low = _strata_of(tops - counts + 1, cuts)
    label = torch.cat([row[chunk] for row, chunk in zip(high, chunks, strict=True)])
    split = (high != low) & (counts > 0)
    split[:, _COUNTED] = False
    for part, level in split.nonzero().tolist():
        agents = (chunks[part] == level).nonzero()[:, 0]
        label[part * _CHUNK + agents] = _strata_of(tops[part, level] - torch.arange(len(agents)), cuts)
    above = (value == _COUNTED).nonzero()[:, 0]
    if len(above):
        order = len(above) - 1 - torch.argsort(visibility[above].flip(0), stable=True)
        label[above[order]] = _strata_of(len(value) - len(above) + torch.arange(len(above)), cuts)
    return label


def most_visible(visibility: Tensor, size: int) -> Tensor:
    """The `size` most visible agents, the most visible first, equals by index, int64."""
    if size >= len(visibility):
        return torch.argsort(visibility, descending=True, stable=True)
    least = visibility.topk(size, sorted=False).values.min()
    above = (visibility > least).nonzero()[:, 0]
    equal = (visibility == least).nonzero()[: size - len(above), 0]
    above = above[torch.argsort(visibility[above], descending=True, stable=True)]
    return torch.cat((above, equal))


def _strata_of(rank: Tensor, cuts: Tensor) -> Tensor:
    return torch.searchsorted(cuts, rank, right=True) - 1


def _ceiling(share: float) -> int:
    """Round up, but not what rounding of the product put above a whole number."""
    return math.ceil(round(share, 6))
