"""Sums over the agents of one chunk: of each row, and of the products of rows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.contributions import Row, stacked
from engine.state import State

_FEW = 4
"""Up to so many moments their products are summed pair by pair, beyond by one matrix product."""


def row_sums(rows: Sequence[Row], x: State) -> list[Tensor]:
    """Sum each row, each distinct one once."""
    zero = torch.zeros((), dtype=torch.float64, device=x.device)
    known = {id(row): x.row_sum(row) for row in {id(row): row for row in rows if row is not None}.values()}
    return [zero if row is None else known[id(row)] for row in rows]


def products(delta: Sequence[Row], without: Tensor, x: State) -> Tensor:
    """ΣΔg Δgᵀ and, as the last row, ΣΔg over these agents but some, [K + 1, K]."""
    k = len(delta)
    if k > _FEW:
        matrix = stacked(delta, x)
        matrix[:, without] = 0.0
        return torch.cat((matrix @ matrix.T, matrix.sum(1)[None]))
    rows = [row if row is None or not len(without) else row.index_fill(0, without, 0.0) for row in delta]
    found = torch.zeros((k + 1, k), dtype=torch.float64, device=x.device)
    for i, first in enumerate(rows):
        if first is None:
            continue
        found[k, i] = first.sum()
        for j, second in enumerate(rows[: i + 1]):
            if second is not None:
                found[i, j] = found[j, i] = torch.dot(first, second)
    return found
