"""Where ranks meet: each holds agents of its own, and only sums over all of them and the whales are exchanged."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from engine.errors import IndicatorError


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


def met(meeting: Meeting, name: str, work: Callable[[], Tensor], shape: tuple[int, ...]) -> Tensor:
    """Sum over ranks what `work` gives of an indicator, float64 of this shape; where one rank fails, fail on all.

    A rank that failed alone would leave the others waiting, so it meets them with what is no number.

    Raises:
        IndicatorError: what `work` raised here, or that it failed on another rank or is not finite.
    """
    failure = None
    try:
        sums = work()
    except IndicatorError as error:
        sums, failure = torch.full(shape, torch.nan, dtype=torch.float64), error
    total = meeting.total(sums)
    if failure is not None:
        raise failure
    if not bool(torch.isfinite(total).all()):
        raise IndicatorError(f"the totals of {name!r} are not finite; g must give finite numbers for every agent")
    return total
