"""Where ranks meet: each holds agents of its own, and only sums over all of them and the whales are exchanged."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from engine.errors import IndicatorError, attempt


class Meeting(Protocol):
    """Where ranks meet. Each rank has agents of its own; alone, both functions give back what they got."""

    def total(self, sums: Tensor) -> Tensor:
        """Sum a float64 tensor of one shape over ranks, the same bits on each."""

    def gather(self, rows: Tensor) -> tuple[Tensor, int]:
        """Join float64 [m, D] of every rank, in the order of ranks, and say where this rank's rows begin."""


class Alone:
    """One rank: nothing to meet."""

    def total(self, sums: Tensor) -> Tensor:
        """Give back `sums`."""
        return sums

    def gather(self, rows: Tensor) -> tuple[Tensor, int]:
        """Give back `rows`."""
        return rows, 0


def met(
    meeting: Meeting, names: Sequence[str], sums: Sequence[Tensor | IndicatorError], sizes: Sequence[int]
) -> list[Tensor | IndicatorError]:
    """Sum each indicator's float64 [size] over ranks, all at once; one that failed on a rank fails on all.

    A rank that left one out would leave the others waiting, so it meets them with what is no number.
    """
    own = [
        torch.full((size,), torch.nan, dtype=torch.float64) if isinstance(each, IndicatorError) else each.cpu()
        for each, size in zip(sums, sizes, strict=True)
    ]
    totals = torch.split(meeting.total(torch.cat(own)), list(sizes)) if own else ()
    return [attempt(_finite, *each) for each in zip(names, sums, totals, strict=True)]


def _finite(name: str, _: Tensor, total: Tensor) -> Tensor:
    if not bool(torch.isfinite(total).all()):
        raise IndicatorError(f"the totals of {name!r} are not finite; g must give finite numbers for every agent")
    return total
