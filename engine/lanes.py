"""A State as a compiler sees it: agents in blocks of one fixed width, every column and total float64 at once.

What is derived from it holds for any counts, where a State picks its arithmetic by the greatest value of each column.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.state import State

WIDTH = 512
"""Agents in a block: sums over a block are exact enough to be added in any order."""


class Lanes(State):
    """Agents as [26, blocks, WIDTH]; rows over them are [blocks, WIDTH]."""

    __slots__ = ()

    @classmethod
    def over(cls, columns: Tensor) -> "Lanes":
        """Wrap columns that come out of a State."""
        lanes = object.__new__(cls)
        for name, value in (("columns", columns), ("_peaks", ()), ("_derived", {}), ("_scratch", None)):
            object.__setattr__(lanes, name, value)
        return lanes

    def _sum(self, positions: Sequence[int]) -> Tensor:
        total = self.columns[positions[0]].to(torch.float64)
        for each in positions[1:]:
            total = total + self.columns[each].to(torch.float64)
        return total

    def _float(self, name: str, whole: Tensor) -> Tensor:  # noqa: ARG002 - without scratch a name says nothing
        return whole.to(torch.float64)


def blocks(columns: Tensor) -> Tensor:
    """The whole blocks of a table [26, N] as a view [26, N // WIDTH, WIDTH]."""
    count = columns.shape[1] // WIDTH
    # Not unflatten, which is untyped.
    return columns[:, : count * WIDTH].view(len(columns), count, WIDTH)
