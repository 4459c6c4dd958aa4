"""The counts of one bucket, sparse: what it adds to a window when it enters and takes away when it leaves.

A cell is `slot * WIDTH + column`. Additions are collected as they come and summed per cell only when the bucket
is read, once per close, so that folding an event costs an append.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.columns import COLUMNS

WIDTH = len(COLUMNS)
Ints = NDArray[np.int64]
_INT32 = np.iinfo(np.int32)
_PENDING = 64
"""Collected pieces are summed when there are this many, which bounds memory by cells instead of events."""


def narrow(values: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the values as int32 where they all fit, which is nearly always and halves the memory held."""
    if values.size and (values.min() < _INT32.min or values.max() > _INT32.max):
        return values
    return values.astype(np.int32)


def summed(cells: NDArray[np.integer], amounts: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return the distinct cells, ascending, and the sum of each."""
    order = np.argsort(cells)
    cells, amounts = cells[order], amounts[order]
    starts = np.flatnonzero(np.concatenate(([True], cells[1:] != cells[:-1])))
    return cells[starts], np.add.reduceat(amounts, starts)


def _empty() -> NDArray[np.integer]:
    return np.empty(0, np.int32)


@dataclass(slots=True)
class Delta:
    """One bucket's counts. `cells` ascend and are distinct; `amounts` belongs to them; `pending` is not yet summed."""

    cells: NDArray[np.integer] = field(default_factory=_empty)
    amounts: NDArray[np.integer] = field(default_factory=_empty)
    pending: list[tuple[Ints, Ints]] = field(default_factory=list)

    def add(self, cells: Ints, amounts: Ints) -> None:
        """Add amounts to cells, in any order and with repeats."""
        self.pending.append((cells, amounts))
        if len(self.pending) >= _PENDING:
            self.settle()

    def settle(self) -> None:
        """Sum what was collected; cells whose amounts cancel stay, for they say that the agent was here."""
        if not self.pending:
            return
        pieces = [(self.cells, self.amounts), *self.pending]
        cells, amounts = summed(np.concatenate([c for c, _ in pieces]), np.concatenate([a for _, a in pieces]))
        self.cells, self.amounts = narrow(cells), narrow(amounts)
        self.pending = []

    def slots(self) -> Ints:
        """Return the distinct slots that this bucket touches, ascending."""
        self.settle()
        slots = (self.cells // WIDTH).astype(np.int64)
        return slots[np.concatenate(([True], slots[1:] != slots[:-1]))] if slots.size else slots

    def erase(self, slot: int) -> None:
        """Forget everything of one slot."""
        self.settle()
        first, last = np.searchsorted(self.cells, (slot * WIDTH, (slot + 1) * WIDTH))
        if last > first:
            self.cells = np.delete(self.cells, slice(first, last))
            self.amounts = np.delete(self.amounts, slice(first, last))
