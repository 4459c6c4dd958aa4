"""The Shapley value of the finite game, against which the engine's answers are held.

Three ways to it: enumeration of every coalition (exact, n ≤ 16 or so), permutations walked with running sums (O(n) a
permutation, the fast honest peer) and permutations in which every coalition is summed anew (O(n²), as
black-box samplers do it). None of them knows an indicator: a game is a function of K totals and what each of n
players adds to them. float64 throughout, randomness from the generator that the caller passes.

Source: Shapley 1953; Castro, Gómez and Tejada 2009 for the sampling.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_PLAYERS = 20
"""Enumeration holds 2ⁿ values at once: about 200 MB at 20 players, with their members."""


@dataclass(frozen=True, slots=True)
class Game:
    """v(S) = F(Σ_{i∈S} present_i + Σ_{i∉S} absent_i).

    `f` maps totals [K] to a scalar and can be batched by `torch.vmap`; `present` and `absent` are float64 [n, K].
    """

    f: Callable[[Tensor], Tensor]
    present: Tensor
    absent: Tensor

    def __post_init__(self) -> None:
        if self.present.ndim != 2 or self.present.shape != self.absent.shape:  # noqa: PLR2004 - players by moments
            shapes = f"{tuple(self.present.shape)} and {tuple(self.absent.shape)}"
            raise ValueError(f"A game needs two tensors of one shape [n, K], not {shapes}.")

    @property
    def n(self) -> int:
        """The number of players."""
        return self.present.shape[0]

    @property
    def delta(self) -> Tensor:
        """What each player changes by joining, [n, K]."""
        return self.present - self.absent

    @property
    def start(self) -> Tensor:
        """The totals before anybody has joined, [K]."""
        return self.absent.sum(0)

    def values(self, totals: Tensor) -> Tensor:
        """F of many totals at once: [..., K] to [...]."""
        flat = totals.reshape(-1, totals.shape[-1])
        result: Tensor = torch.vmap(self.f)(flat)
        return result.reshape(totals.shape[:-1])


@dataclass(frozen=True, slots=True)
class Estimate:
    """A sampled Shapley value [n], the standard error of each [n] and the permutations it took."""

    phi: Tensor
    standard_error: Tensor
    permutations: int

    @property
    def noise(self) -> float:
        """The expected distance ‖estimate − truth‖."""
        return float(self.standard_error.square().sum().sqrt())


def exact(game: Game) -> Tensor:
    """Return the Shapley value [n] by enumerating all 2ⁿ coalitions. At most `MOST_PLAYERS` players."""
    n = game.n
    if n > MOST_PLAYERS:
        raise ValueError(f"Enumeration of {n} players needs 2^{n} coalitions; at most {MOST_PLAYERS} are allowed.")
    coalitions = torch.arange(2**n)
    members = coalitions[:, None].bitwise_right_shift(torch.arange(n)) & 1
    values = game.values(game.start + members.double() @ game.delta)
    sizes = members.sum(1)
    weights = torch.tensor([1 / (n * math.comb(n - 1, size)) for size in range(n)], dtype=torch.float64)
    phi = torch.empty(n, dtype=torch.float64)
    for player in range(n):
        without = coalitions[members[:, player] == 0]
        phi[player] = (weights[sizes[without]] * (values[without | (1 << player)] - values[without])).sum()
    return phi


def sampled(game: Game, permutations: int, generator: torch.Generator, *, cells: int = 1 << 20) -> Estimate:
    """Estimate the Shapley value from random orders of joining, each walked once with running sums.

    `cells` bounds how many players × orders are in memory at once. At least two orders, for the standard error.
    """
    start, delta = game.start, game.delta
    at_once = max(1, cells // game.n)

    def batch(count: int) -> Tensor:
        orders = _orders(count, game.n, generator)
        totals = torch.empty(count, game.n + 1, len(start), dtype=torch.float64)
        totals[:, 0] = start
        torch.cumsum(delta[orders], 1, out=totals[:, 1:])
        totals[:, 1:] += start
        gains = game.values(totals).diff(dim=1)
        return torch.empty_like(gains).scatter_(1, orders, gains)

    return _estimate(batch, game.n, permutations, at_once)


def sampled_naively(game: Game, permutations: int, generator: torch.Generator) -> Estimate:
    """Estimate as `sampled` does, but summing all n players anew for every coalition: what knowing nothing costs."""

    def batch(_one: int) -> Tensor:
        order = _orders(1, game.n, generator)[0]
        gains = torch.empty(1, game.n, dtype=torch.float64)
        joined = torch.zeros(game.n, 1, dtype=torch.bool)
        before = game.f(game.start)
        for player in order.tolist():
            joined[player] = True
            after = game.f(torch.where(joined, game.present, game.absent).sum(0))
            gains[0, player] = after - before
            before = after
        return gains

    return _estimate(batch, game.n, permutations, 1)


def _orders(count: int, n: int, generator: torch.Generator) -> Tensor:
    if count == 1:
        return torch.randperm(n, generator=generator)[None]
    return torch.rand(count, n, generator=generator, dtype=torch.float64).argsort(1)


def _estimate(batch: Callable[[int], Tensor], n: int, permutations: int, at_once: int) -> Estimate:
    """Gather mean and variance over batches of gains [count, n], stably (Chan, Golub and LeVeque 1979)."""
    if permutations < 2:  # noqa: PLR2004 - a variance needs two
        raise ValueError(f"{permutations} permutations give no standard error; ask for at least 2.")
    mean, squares = torch.zeros(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    done = 0
    while done < permutations:
        count = min(at_once, permutations - done)
        gains = batch(count)
        batch_mean = gains.mean(0)
        shift = batch_mean - mean
        squares += (gains - batch_mean).square().sum(0) + shift.square() * (done * count / (done + count))
        mean += shift * (count / (done + count))
        done += count
    return Estimate(mean, (squares / (permutations - 1) / permutations).sqrt(), permutations)
