"""The scale gap: what a panel of a few would have said, with its own totals, held against the attribution of all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.concentration import tier_shares
from engine.results import Panel


@dataclass(frozen=True, slots=True)
class Members:
    """The agents of one panel, int64 [size]."""

    kind: Literal["visible", "uniform"]
    agents: Tensor


def choose(visibility: Tensor, sizes: Sequence[int], seed: int) -> Iterator[Members]:
    """Give the most visible agents, equals by index, and as many drawn uniformly; a size above N is left out.

    Smaller panels are the beginnings of greater ones of their kind.
    """
    n = len(visibility)
    fitting = sorted(size for size in set(sizes) if 0 < size <= n)
    if not fitting:
        return
    visible, uniform = most_visible(visibility, fitting[-1]), drawn(n, fitting[-1], seed).to(visibility.device)
    for size in fitting:
        yield Members("visible", visible[:size])
        yield Members("uniform", uniform[:size])


def most_visible(visibility: Tensor, size: int) -> Tensor:
    """The `size` most visible agents, the most visible first, equals by index."""
    if size >= len(visibility):
        return torch.argsort(visibility, descending=True, stable=True)
    least = visibility.topk(size, sorted=False).values.min()
    above = (visibility > least).nonzero()[:, 0]
    equal = (visibility == least).nonzero()[: size - len(above), 0]
    above = above[torch.argsort(visibility[above], descending=True, stable=True)]
    return torch.cat((above, equal))


def drawn(n: int, size: int, seed: int) -> Tensor:
    """`size` distinct indices below n in random order, on the CPU; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    if 4 * size >= n:
        return torch.randperm(n, generator=generator)[:size]
    draws = torch.randint(n, (2 * size,), generator=generator)
    values, where = torch.unique(draws, return_inverse=True)
    first = torch.full((len(values),), len(draws)).scatter_reduce(0, where, torch.arange(len(draws)), "amin")
    return draws[first.sort().values[:size]]


def compare(members: Members, phi: Tensor, full: Tensor, tier: Tensor) -> Panel:
    """Hold the panel's `phi` [size] against the `full` one and the `tier` of the same agents."""
    power = float(phi @ phi)
    factor = float(full @ phi) / power if power > 0 else 0.0
    norm = float(full.norm())
    return Panel(
        kind=members.kind,
        size=len(members.agents),
        factor=factor,
        residual=float((full - factor * phi).norm()) / norm if norm > 0 else 0.0,
        tier_shares=tier_shares(phi, tier),
    )
