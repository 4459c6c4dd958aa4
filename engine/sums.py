"""Sums over the agents of one chunk: of each row, and of the products of rows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.contributions import Delta, Row
from engine.state import State

_FEW = 4
"""Up to so many moments their products are summed pair by pair, beyond by one matrix product."""


def row_sums(rows: Sequence[Row], x: State) -> list[Tensor]:
    """Sum each row, each distinct one once."""
    zero = torch.zeros((), dtype=torch.float64, device=x.device)
    known = {id(row): x.row_sum(row) for row in {id(row): row for row in rows if row is not None}.values()}
    return [zero if row is None else known[id(row)] for row in rows]


def products(delta: Delta, without: Tensor, moments: int) -> Tensor:
    """ΣΔg Δgᵀ and, as the last row, ΣΔg over these agents but some, who are zeroed: [K + 1, K]."""
    rows = delta.rows.index_fill_(1, without, 0.0) if len(without) else delta.rows
    found = torch.zeros((moments + 1, moments), dtype=torch.float64, device=rows.device)
    if not delta.moments:
        return found
    found[moments, delta.moments] = rows.sum(1)
    if len(rows) > _FEW:
        square = rows @ rows.T
    else:
        dots = {(i, j): torch.dot(rows[i], rows[j]) for i in range(len(rows)) for j in range(i + 1)}
        square = torch.stack([dots[max(i, j), min(i, j)] for i in range(len(rows)) for j in range(len(rows))])
        square = square.reshape(len(rows), len(rows))
    at = torch.tensor(delta.moments, device=rows.device)
    found[at[:, None], at] = square
    return found
