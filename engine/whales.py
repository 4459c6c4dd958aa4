"""The most massive agents, who join the oceanic game as a whole: found in the first sweep, chosen after it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.contributions import Row
from engine.sweep import Chunk

_MANY = 64
"""When more agents of a chunk than this reach a floor, its greatest are sought directly."""


@dataclass(frozen=True, slots=True)
class Whales:
    """The most massive agents: indices [m] of this rank's (-1: another rank's) and their Δg, `rows` [m, K]."""

    agents: Tensor
    rows: Tensor


class Leaders:
    """The agents of a chunk among whom the whales must be: in each moment those of the greatest |Δg|.

    One more than twice the whales, to see whether there are so few agents that all are whales. What was found so far
    sets the floors; in the chunks that follow only those who reach them need be looked at.
    """

    def __init__(self, moments: int, whales: int) -> None:
        self._count = 2 * whales + 1 if whales else 0
        self._tops = [torch.zeros(0, dtype=torch.float64)] * moments

    def among(self, delta: Sequence[Row], chunk: Chunk) -> Tensor:
        """Give their indices within the chunk, int64, each once."""
        found = []
        if self._count and chunk.now.n:
            found = [self._in_row(moment, row) for moment, row in enumerate(delta) if row is not None]
        if not any(len(each) for each in found):
            return torch.zeros(0, dtype=torch.int64, device=chunk.now.device)
        leaders: Tensor = torch.unique(torch.cat(found))
        return leaders

    def _in_row(self, moment: int, row: Tensor) -> Tensor:
        known, indices = self._tops[moment], None
        if len(known) == self._count:
            low, high = torch.aminmax(row)
            # What equals a floor need not be taken: as many as were looked for are no less.
            floor = float(known[-1])
            if max(-float(low), float(high)) <= floor:
                return torch.zeros(0, dtype=torch.int64, device=row.device)
            indices = (row.abs() > floor).nonzero()[:, 0]
        if indices is None or len(indices) > _MANY:
            indices = row.abs().topk(min(self._count, len(row))).indices
        best = torch.cat((known, row[indices].abs().cpu()))
        self._tops[moment] = best.sort(descending=True).values[: self._count]
        return indices


def choose(rows: Tensor, scale: Tensor, whales: int) -> Tensor:
    """Choose among `rows` by |Δg| relative to the norm of all agents' Δg, in the moment where that is greatest.

    Those who tie with the first who is not chosen are not chosen either: equal agents are treated equally. Up to
    twice the `whales`, all who differ from the baseline are whales: an ocean is smooth only when it is large.
    """
    score = (rows.abs() / torch.where(scale > 0, scale, 1.0)).amax(1)
    order = torch.argsort(score, descending=True, stable=True)
    order = order[score[order] > 0]
    if len(order) <= 2 * whales:
        return order
    return order[:whales][score[order[:whales]] > score[order[whales]]]
