"""Where ranks meet: each holds agents of its own, and only sums over all of them and the whales are exchanged."""

from typing import Protocol

from torch import Tensor


class Meeting(Protocol):
    """Where ranks meet. Each rank has agents of its own; alone, both functions give back what they got."""

    def total(self, sums: Tensor) -> Tensor:
        """Sum a float64 [D] over ranks, the same on each."""

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
