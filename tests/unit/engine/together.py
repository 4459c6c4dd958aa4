"""Ranks that are threads of this process: as many as are wanted, at no cost."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from engine.meeting import Meeting

S = TypeVar("S")
T = TypeVar("T")


class _Table:
    """Where the threads meet: each lays down what it has, and all read what all laid down."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, timeout=60)
        self.laid: list[Tensor] = [torch.empty(0)] * size


class _Rank:
    def __init__(self, table: _Table, number: int) -> None:
        self._table, self._number = table, number

    def _all(self, own: Tensor) -> list[Tensor]:
        self._table.laid[self._number] = own.clone()
        self._table.barrier.wait()
        everyone = list(self._table.laid)
        self._table.barrier.wait()
        return everyone

    def total(self, sums: Tensor) -> Tensor:
        return torch.stack(self._all(sums)).sum(0)

    def gather(self, rows: Tensor) -> tuple[Tensor, int]:
        everyone = self._all(rows)
        return torch.cat(everyone), sum(len(each) for each in everyone[: self._number])


def together(work: Callable[[Meeting, S], T], shares: Sequence[S]) -> list[T]:
    """Do the work of each rank with its share, all at once; give what each returned."""
    table = _Table(len(shares))

    def rank(number: int) -> T:
        try:
            return work(_Rank(table, number), shares[number])
        except BaseException:
            table.barrier.abort()
            raise

    with ThreadPoolExecutor(len(shares)) as pool:
        return list(pool.map(rank, range(len(shares))))
