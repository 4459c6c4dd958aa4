"""The per-agent work of a game as pure functions of its columns, in blocks: what a compiler fuses into one loop each.

Each gives sums block by block, [blocks] each, in the order in which the sweeps keep them; none looks at a value.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from engine.contributions import Game, Row, needs_mean
from engine.lanes import Lanes

Phase = Literal["mean", "totals", "spread", "shares", "shares beside", "oceanic shares"]
"""The mean of g, the totals, these with products; phi alone, phi beside the oceanic one, or the oceanic one."""
FEW = 4
"""With more moments than this, sums of all their products take a compiler minutes; matrix products are as fast."""
NO_OUT = (3, 7)
"""The shape of what takes no phi."""
SHARING = ("shares", "shares beside", "oceanic shares")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a kernel takes: tables [26, blocks, WIDTH], `levels` [K] of an Everyone baseline; for phi its weights.

    `weights` [K] are Aumann and Shapley's, `linear` [K] and `quadratic` [K, K] what the ocean adds, `out` takes phi.
    """

    now: Tensor
    before: Tensor
    levels: Tensor
    weights: Tensor
    linear: Tensor
    quadratic: Tensor
    out: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        """All of them, in order."""
        return self.now, self.before, self.levels, self.weights, self.linear, self.quadratic, self.out


def body(game: Game, phase: Phase) -> Callable[..., list[Tensor]]:
    """The function of `Inputs.tensors` that is compiled."""
    plain = replace(game, everyone=None)

    def work(*given: Tensor) -> list[Tensor]:
        inputs = Inputs(*given)
        x = Lanes.over(inputs.now)
        own = plain.own(x)
        zero = torch.zeros(inputs.now.shape[1], dtype=torch.float64, device=inputs.now.device)
        if phase == "mean":
            return [*_sums(own, zero), x.active.sum(1)]
        base = _base(plain, inputs, x, own)
        if phase in SHARING:
            return _shares(_differences(own, base), inputs, phase, zero)
        sums = _sums([*own, *base], zero)
        return sums if phase == "totals" else sums + _spread(_differences(own, base), zero)

    return work


def _base(game: Game, inputs: Inputs, x: Lanes, own: Sequence[Row]) -> list[Row]:
    if game.baseline == "preceding":
        return game.own(Lanes.over(inputs.before))
    if needs_mean(game):
        return [x.active * level for level in inputs.levels.unbind()]
    return game.neutral(x, own)


def _differences(own: Sequence[Row], base: Sequence[Row]) -> list[Row]:
    """Δg row by row, None where it is zero throughout."""
    return [_difference(mine, other) for mine, other in zip(own, base, strict=True)]


def _difference(mine: Row, other: Row) -> Row:
    if mine is other:
        return None
    if mine is None:
        return None if other is None else -other.to(torch.float64)
    return mine.to(torch.float64) if other is None else mine.to(torch.float64) - other.to(torch.float64)


def _sums(rows: Sequence[Row], zero: Tensor) -> list[Tensor]:
    return [zero if row is None else row.to(torch.float64).sum(1) for row in rows]


def _spread(delta: Sequence[Row], zero: Tensor) -> list[Tensor]:
    """ΣΔg Δgᵀ of few moments, ΣΔg, and the greatest |Δg| of each block."""
    tops = [zero if row is None else row.abs().amax(1) for row in delta]
    if len(delta) > FEW:
        return [*_sums(delta, zero), *tops]
    products = [
        [zero if row is None or other is None else (row * other).sum(1) for other in delta[: place + 1]]
        for place, row in enumerate(delta)
    ]
    square = [products[max(i, j)][min(i, j)] for i in range(len(delta)) for j in range(len(delta))]
    return [*square, *_sums(delta, zero), *tops]


def _shares(delta: Sequence[Row], inputs: Inputs, phase: Phase, zero: Tensor) -> list[Tensor]:
    """Write phi; give Σφ, the methods' distance² and size², and Σφ²."""
    nothing = torch.zeros_like(inputs.out)
    rows = [(k, row) for k, row in enumerate(delta) if row is not None]
    phi = sum((row * inputs.weights[k] for k, row in rows), start=nothing)
    if phase == "shares":
        inputs.out.copy_(phi)
        return [phi.sum(1), zero, zero, (phi * phi).sum(1)]
    added = sum((row * _bend(k, rows, inputs) for k, row in rows), start=nothing)
    oceanic = phi + added
    published = oceanic if phase == "oceanic shares" else phi
    inputs.out.copy_(published)
    return [
        published.sum(1),
        (added * added).sum(1),
        (oceanic * oceanic).sum(1),
        (published * published).sum(1),
    ]


def _bend(k: int, rows: Sequence[tuple[int, Tensor]], inputs: Inputs) -> Tensor:
    """What Δgₖ is multiplied by: half of the quadratic form is enough, for it is symmetric."""
    factors = [(row, inputs.quadratic[k, j] * (1 if j == k else 2)) for j, row in rows if j <= k]
    return sum((row * factor for row, factor in factors), start=inputs.linear[k])
