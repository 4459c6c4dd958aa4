"""The most massive agents, who join the oceanic game as a whole: found in the first sweep, chosen after it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.stack import LANES


@dataclass(frozen=True, slots=True)
class Whales:
    """The most massive agents: indices [m] of this rank's (-1: another rank's) and their Δg, `rows` [m, K]."""

    agents: Tensor
    rows: Tensor


class Leaders:
    """The agents of a chunk among whom the whales must be: in each row of Δg those of the greatest |Δg|.

    One more than twice the whales, to see whether there are so few agents that all are whales. What was found so far
    sets the floors: in the chunks that follow only what rises above them is looked at.
    """

    def __init__(self, rows: int, whales: int, device: torch.device) -> None:
        self._count = 2 * whales + 1 if whales else 0
        self._tops = torch.zeros((rows, self._count), dtype=torch.float64, device=device)

    def among(self, delta: Tensor) -> Tensor:
        """Give their places in the chunk, int64, each once. `delta` is [rows, a multiple of LANES]."""
        nobody = torch.zeros(0, dtype=torch.int64, device=delta.device)
        if not self._count or not delta.numel():
            return nobody
        by_block = delta.view(len(delta), -1, LANES)
        peaks = torch.maximum(by_block.amax(2), -by_block.amin(2))
        best = peaks.topk(min(self._count, peaks.shape[1]), dim=1)
        # What equals a floor need not be taken: as many as were looked for are no less.
        floors = self._tops[:, -1:]
        most = int((best.values > floors).sum(1).max())
        if not most:
            return nobody
        blocks = best.indices[:, :most, None]
        places = (blocks * LANES + torch.arange(LANES, device=delta.device)).flatten(1)
        top = delta.gather(1, places).abs().topk(self._count, dim=1)
        above = top.values > floors
        self._tops = torch.cat((self._tops, top.values), dim=1).topk(self._count, dim=1).values
        found: Tensor = torch.unique(places.gather(1, top.indices)[above])
        return found


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
