"""The most massive agents, who join the oceanic game as a whole: found in the first sweep, chosen after it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.contributions import Delta

_BLOCK = 512
"""Agents whose greatest is looked at before they are."""


@dataclass(frozen=True, slots=True)
class Whales:
    """The most massive agents: indices [m] of this rank's (-1: another rank's) and their Δg, `rows` [m, K]."""

    agents: Tensor
    rows: Tensor


class Leaders:
    """The agents of a chunk among whom the whales must be: in each moment those of the greatest |Δg|.

    One more than twice the whales, to see whether there are so few agents that all are whales. What was found so far
    sets the floors: in the chunks that follow only the blocks that rise above them are looked at.
    """

    def __init__(self, moments: int, whales: int) -> None:
        self._count = 2 * whales + 1 if whales else 0
        self._tops = [torch.zeros(self._count, dtype=torch.float64) for _ in range(moments)]

    def among(self, delta: Delta) -> Tensor:
        """Give their indices within the chunk, int64, each once."""
        nobody = torch.zeros(0, dtype=torch.int64, device=delta.rows.device)
        if not self._count or not delta.rows.numel():
            return nobody
        peaks = _peaks(delta.rows)
        best = peaks.topk(min(self._count, peaks.shape[1]), dim=1)
        floors = torch.stack([self._tops[moment][-1] for moment in delta.moments])
        higher = best.values.cpu() > floors[:, None]
        found = [
            self._in_row(moment, row, blocks[above.to(row.device)])
            for moment, row, blocks, above in zip(delta.moments, delta.rows, best.indices, higher, strict=True)
            if bool(above.any())
        ]
        return torch.unique(torch.cat(found)) if found else nobody

    def _in_row(self, moment: int, row: Tensor, blocks: Tensor) -> Tensor:
        """Give the leaders of one moment that these blocks hold, and raise its floor."""
        agents = (blocks[:, None] * _BLOCK + torch.arange(_BLOCK, device=row.device)).reshape(-1)
        agents = agents[agents < len(row)]
        size = row[agents].abs()
        # What equals a floor need not be taken: as many as were looked for are no less.
        above = (size > float(self._tops[moment][-1])).nonzero()[:, 0]
        if len(above) > self._count:
            above = above[size[above].topk(self._count).indices]
        best = torch.cat((self._tops[moment], size[above].cpu()))
        self._tops[moment] = best.sort(descending=True).values[: self._count]
        return agents[above]


def _peaks(rows: Tensor) -> Tensor:
    """The greatest |Δg| of each block of agents, [D, blocks]; the last block may be short."""
    whole = rows.shape[1] // _BLOCK * _BLOCK
    full = rows[:, :whole].view(len(rows), -1, _BLOCK)
    peaks = torch.maximum(full.amax(2), -full.amin(2))
    if whole == rows.shape[1]:
        return peaks
    return torch.cat((peaks, rows[:, whole:].abs().amax(1, keepdim=True)), dim=1)


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
