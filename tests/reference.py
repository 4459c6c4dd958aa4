"""The indicators once more, written from the design's table in NumPy, so that the engine is held to the table itself.

Of each: what the agents contribute, what they would contribute in the neutral baseline, and F of the totals.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.columns import ACTS, INDEX, PHASES, RECEIVED
from engine.oracles import Game

Columns = NDArray[np.int32]
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """`g` and `neutral` map int32 [26, N] to float64 [N, K]; `f` maps totals [K] to a number."""

    g: Callable[[Columns], Rows]
    neutral: Callable[[Columns], Rows]
    f: Callable[[Tensor], Tensor]

    def game(self, state: Columns, before: Columns | None) -> Game:
        absent = self.neutral(state) if before is None else self.g(before)
        return Game(self.f, torch.from_numpy(self.g(state)), torch.from_numpy(absent))


def of(columns: Columns, *names: str) -> Rows:
    return columns[[INDEX[name] for name in names]].astype(np.float64).sum(0)


def received(columns: Columns) -> Rows:
    return of(columns, *RECEIVED)


def active(columns: Columns) -> Rows:
    return (columns[:11] > 0).any(0).astype(np.float64)


def divided(top: Tensor, bottom: Tensor) -> Tensor:
    return torch.where(bottom == 0, 0.0, top / torch.where(bottom == 0, 1.0, bottom))


def polarization(columns: Columns) -> Rows:
    scored = of(columns, "scored")
    w = np.where((scored > 0) & (active(columns) > 0), 1 + received(columns), 0.0)
    s = of(columns, "valence") * 1e-4 / np.maximum(scored, 1)
    return np.stack([w, w * s, w * s * s], 1)


def polarization_neutral(columns: Columns) -> Rows:
    return polarization(columns) * [1.0, 0.0, 0.0]


def attention(columns: Columns) -> Rows:
    r = received(columns)
    return np.stack([r, r * r], 1)


def attention_neutral(columns: Columns) -> Rows:
    mean = received(columns).sum() / max(active(columns).sum(), 1)
    return active(columns)[:, None] * [mean, mean * mean]


def cascade(columns: Columns) -> Rows:
    return np.stack([of(columns, "reposts_in", "quotes_in"), of(columns, "posts", "replies", "quotes")], 1)


def activity(columns: Columns) -> Rows:
    return np.stack([of(columns, *ACTS), active(columns)], 1)


def without_first(g: Callable[[Columns], Rows]) -> Callable[[Columns], Rows]:
    return lambda columns: g(columns) * [0.0, 1.0]


def synchrony(columns: Columns) -> Rows:
    return columns[[INDEX[name] for name in PHASES]].astype(np.float64).T * active(columns)[:, None]


def synchrony_neutral(columns: Columns) -> Rows:
    return np.repeat(synchrony(columns).mean(1, keepdims=True), 12, axis=1)


REFERENCES = {
    "polarization": Reference(
        polarization, polarization_neutral, lambda m: divided(m[2], m[0]) - divided(m[1], m[0]) ** 2
    ),
    "attention": Reference(attention, attention_neutral, lambda m: divided(m[1], m[0] ** 2)),
    "cascade": Reference(cascade, without_first(cascade), lambda m: torch.log1p(divided(m[0], m[1]))),
    "activity": Reference(activity, without_first(activity), lambda m: torch.log1p(divided(m[0], m[1]))),
    "synchrony": Reference(synchrony, synchrony_neutral, lambda m: 12 * divided((m**2).sum(), m.sum() ** 2)),
}
