"""Agents by visibility, cut into strata: runs of levels that lie in one hundredth of the agents and in one tier.

A level is all agents of one visibility. Equal agents are treated equally: a level belongs to the tier in which its
middle lies, and a hundredth that ends inside a level takes its part of that level's mass. So nothing hangs on the order
of the agents or on how ranks share them, and nothing is sorted: visibility is a count with a heavy tail, so a
histogram has nearly all levels, and ranks exchange it and the few levels above.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import StateError
from engine.meeting import Alone, Meeting
from engine.memory import AT_ONCE, room

PERCENTILES = 100
_COUNTED = 1 << 12
"""Levels below are counted in a histogram, levels from here on one by one."""


@dataclass(frozen=True, slots=True)
class Strata:
    """This rank's agents by `visibility`, int64 [N], and in which stratum each is, `label` int64 [N], the least first.

    `size` [strata] is how many agents each has over all ranks, float64, `tier` [strata] its tier, an index of TIERS.
    """

    visibility: Tensor
    label: Tensor
    size: Tensor
    tier: Tensor

    def tier_of(self, agents: Tensor | slice) -> Tensor:
        """The tier of these agents as an index of TIERS, int8."""
        return self.tier.to(dtype=torch.int8, device=self.label.device)[self.label[agents]]

    @property
    def tiers(self) -> Tensor:
        """The tier of each agent, int8 [N]."""
        return self.tier_of(slice(None))


def strata(visibility: Tensor, bounds: tuple[float, float] = (0.01, 0.10), meeting: Meeting | None = None) -> Strata:
    """Rank agents by visibility [N], whole numbers that are not negative.

    `bounds` are the shares of agents in the head, and in head and middle together, rounded up to whole agents.

    Raises:
        StateError: when the bounds do not rise from 0 to 1, or a visibility is no count.
    """
    if not 0 <= bounds[0] <= bounds[1] <= 1:
        raise StateError(f"the tier bounds are {bounds}; they must rise from 0 to 1")
    value = _counts(visibility)
    levels, sizes = _levels(value, meeting or Alone())
    stop = torch.cumsum(sizes, 0)
    start, n = stop - sizes, float(sizes.sum())
    head, middle = (n - _ceiling(share * n) for share in bounds)
    center = (start + stop) / 2
    tier = torch.where(center >= head, 0, torch.where(center >= middle, 1, 2))
    # The hundredth in which a level ends; one that an edge cuts stands alone.
    edges = torch.arange(PERCENTILES + 1, dtype=torch.float64) * n / PERCENTILES
    first, last = torch.searchsorted(edges, start, right=True), torch.searchsorted(edges, stop)
    cut = first != last
    begins = torch.ones(len(levels), dtype=torch.bool)
    begins[1:] = cut[1:] | cut[:-1] | (last[1:] != last[:-1]) | (tier[1:] != tier[:-1])
    stratum = torch.cumsum(begins, 0) - 1
    return Strata(
        value,
        _labels(value, levels, stratum),
        torch.zeros(int(begins.sum()), dtype=torch.float64).index_add_(0, stratum, sizes),
        tier[begins],
    )


def _counts(visibility: Tensor) -> Tensor:
    """The visibility as int64."""
    value = room(tuple(visibility.shape), visibility.device, torch.int64).copy_(visibility)
    for given, counts in zip(torch.split(visibility, AT_ONCE), torch.split(value, AT_ONCE), strict=True):
        if given.is_floating_point() and not bool((counts == given).all()):
            raise StateError("the visibility of some agent is not a whole number; give counts, 0 where it is not known")
        if counts.numel() and int(counts.min()) < 0:
            raise StateError("the visibility is negative for some agent; give 0 where it is not known")
    return value


def _levels(value: Tensor, meeting: Meeting) -> tuple[Tensor, Tensor]:
    """The visibilities that occur on any rank, rising, and how many agents have each, both on the CPU."""
    counted = torch.zeros(_COUNTED + 1, dtype=torch.int64, device=value.device)
    beyond = [value[:0]]
    for some in torch.split(value, AT_ONCE):
        low = some.clamp(max=_COUNTED)
        counted += torch.bincount(low, minlength=_COUNTED + 1)
        beyond.append(some[low == _COUNTED])
    counted = meeting.total(counted.to("cpu", torch.float64))
    above, many = torch.unique(torch.cat(beyond), return_counts=True)
    rows, _ = meeting.gather(torch.stack((above, many), dim=1).to("cpu", torch.float64))
    high, place = torch.unique(rows[:, 0], return_inverse=True)
    sizes = torch.zeros(len(high), dtype=torch.float64).index_add_(0, place, rows[:, 1])
    present = counted[:_COUNTED].nonzero()[:, 0]
    return torch.cat((present, high.to(torch.int64))), torch.cat((counted[present], sizes))


def _labels(value: Tensor, levels: Tensor, stratum: Tensor) -> Tensor:
    """The stratum of each agent: looked up below `_COUNTED`, searched from there on."""
    known = torch.zeros(_COUNTED + 1, dtype=torch.int64)
    counted = levels < _COUNTED
    known[levels[counted]] = stratum[counted]
    known, high, strata_above = (each.to(value.device) for each in (known, levels[~counted], stratum[~counted]))
    label = room(tuple(value.shape), value.device, torch.int64)
    for some, out in zip(torch.split(value, AT_ONCE), torch.split(label, AT_ONCE), strict=True):
        low = some.clamp(max=_COUNTED)
        torch.index_select(known, 0, low, out=out)
        above = (low == _COUNTED).nonzero()[:, 0]
        if len(above):
            out[above] = strata_above[torch.searchsorted(high, some[above])]
    return label


def _ceiling(share: float) -> int:
    """Round up, but not what rounding of the product put above a whole number."""
    return math.ceil(round(share, 6))
