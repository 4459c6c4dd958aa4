"""Shapley values from orders of joining walked with running sums, each order together with its reverse.

Of two agents one joins first in an order and last in its reverse, so what they owe to each other alone is halved
exactly and only what three or more owe together is left as noise: the strongest sampler that the engine is held to.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.oracles import Estimate, Game

CELLS = 1 << 20
"""Players × orders in memory at once."""


def paired(game: Game, pairs: int, generator: torch.Generator) -> Estimate:
    """Walk at least two pairs of an order and its reverse; their variance gives the standard error."""
    mean, squares = torch.zeros(game.n, dtype=torch.float64), torch.zeros(game.n, dtype=torch.float64)
    shift: Tensor | None = None
    done = 0
    while done < pairs:
        count = min(max(1, CELLS // game.n), pairs - done)
        orders = _orders(count, game.n, generator)
        gains = (_gains(game, orders) + _gains(game, orders.flip(1))) / 2
        shift = gains.mean(0) if shift is None else shift
        mean += (gains - shift).sum(0)
        squares += (gains - shift).square().sum(0)
        done += count
    assert shift is not None
    mean /= pairs
    variance = (squares / pairs - mean.square()).clamp(min=0) * pairs / (pairs - 1)
    return Estimate(mean + shift, (variance / pairs).sqrt(), 2 * pairs)


def pooled(estimates: Sequence[Estimate]) -> Estimate:
    """Join independent estimates of equally many permutations."""
    phi = torch.stack([each.phi for each in estimates]).mean(0)
    error = torch.stack([each.standard_error for each in estimates]).square().sum(0).sqrt() / len(estimates)
    return Estimate(phi, error, sum(each.permutations for each in estimates))


def _orders(count: int, n: int, generator: torch.Generator) -> Tensor:
    if count == 1:
        return torch.randperm(n, generator=generator)[None]
    return torch.rand(count, n, generator=generator, dtype=torch.float64).argsort(1)


def _gains(game: Game, orders: Tensor) -> Tensor:
    totals = torch.empty(*orders.shape[:1], game.n + 1, game.present.shape[1], dtype=torch.float64)
    totals[:, 0] = 0
    torch.cumsum(game.delta[orders], 1, out=totals[:, 1:])
    totals += game.start
    gains = game.values(totals).diff(dim=1)
    return torch.empty_like(gains).scatter_(1, orders, gains)
