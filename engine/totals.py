"""The first sweep: what of the agents enters a path integral. Ranks meet in nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from engine.contributions import Game, Row, RowsAt, differences, needs_mean, stacked, with_mean
from engine.errors import IndicatorError
from engine.state import State
from engine.sweep import Chunk, Sweeper

T = TypeVar("T")

_FEW = 4
"""Up to so many moments their products are summed pair by pair, beyond by one matrix product."""


class Meeting(Protocol):
    """Where ranks meet. Each rank has agents of its own; alone, both functions give back what they got."""

    def total(self, sums: Tensor) -> Tensor:
        """Sum a float64 [D] over ranks, the same on each."""

    def gather(self, rows: Tensor) -> tuple[Tensor, int]:
        """Join float64 [m, D] of every rank, in the order of ranks, and say where this rank's rows begin."""


class Alone:
    """One rank: nothing to meet."""

    def total(self, sums: Tensor) -> Tensor:
        """Give back `sums`."""
        return sums

    def gather(self, rows: Tensor) -> tuple[Tensor, int]:
        """Give back `rows`."""
        return rows, 0


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all agents, on the CPU: `end` = Σg(x) and `start` = Σg(b), both [K].

    Where asked for: `spread` = ΣΔg Δgᵀ [K, K]; `whales` [m] indices of this rank's agents (-1: another rank's) and
    `whale_rows` [m, K] their Δg.
    """

    start: Tensor
    end: Tensor
    spread: Tensor | None = None
    whales: Tensor | None = None
    whale_rows: Tensor | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """What one chunk adds to one game: flat sums, and the agents among whom its whales are, with their Δg."""

    sums: Tensor
    agents: Tensor | None = None
    rows: Tensor | None = None


class _Leaders:
    """The agents of a chunk among whom the whales must be: the greatest |Δg| in each moment.

    `floors` are the least that a chunk already seen had to offer: with `whales` at least that great, lesser ones need
    not be looked at. Threads share them unlocked: a floor that is lost costs time only.
    """

    def __init__(self, moments: int, whales: int) -> None:
        self._whales = whales
        self._floors = [0.0] * moments

    def among(self, delta: Sequence[Row], x: State) -> Tensor:
        found = []
        for moment, row in enumerate(delta):
            if row is None or not x.n or not self._whales:
                continue
            size = row.abs()
            if x.device.type == "cpu" and float(size.max()) < self._floors[moment]:
                continue
            top = size.topk(min(self._whales, x.n))
            found.append(top.indices)
            if x.n >= self._whales:
                self._floors[moment] = max(self._floors[moment], float(top.values[-1]))
        if not found:
            return torch.zeros(0, dtype=torch.int64, device=x.device)
        leaders: Tensor = torch.unique(torch.cat(found))
        return leaders


def fix_means(games: Sequence[Game], sweep: Sweeper, meeting: Meeting) -> list[Game | IndicatorError]:
    """Fix what everyone contributes in games whose baseline depends on the mean of g over active agents."""
    asking = [game for game in games if needs_mean(game)]

    def part(chunk: Chunk) -> list[Tensor | IndicatorError]:
        rows = RowsAt(chunk)
        return [_attempt(partial(_mean_part, game, rows)) for game in asking]

    fixed: dict[int, Game | IndicatorError] = {}
    if asking:
        for game, parts in zip(asking, zip(*sweep.each(part), strict=True), strict=True):
            fixed[id(game)] = _attempt(partial(_with_mean, game, parts, meeting))
    return [fixed.get(id(game), game) for game in games]


def first_sweep(
    games: Sequence[Game], sweep: Sweeper, *, whales: int, spread: bool, meeting: Meeting
) -> list[Totals | IndicatorError]:
    """Sweep over the agents once for all games; one that fails leaves the rest."""
    leaders = [_Leaders(game.moments, whales) for game in games]

    def part(chunk: Chunk) -> list[_Part | IndicatorError]:
        rows = RowsAt(chunk)
        return [
            _attempt(partial(_part, game, rows, best if spread else None))
            for game, best in zip(games, leaders, strict=True)
        ]

    by_game = zip(*sweep.each(part), strict=True)
    return [
        _attempt(partial(_joined, game, parts, whales, spread=spread, meeting=meeting))
        for game, parts in zip(games, by_game, strict=True)
    ]


def _mean_part(game: Game, rows: RowsAt) -> Tensor:
    now = rows.chunk.now
    return torch.stack([*_sums(rows.own(game), now), now.active.sum()])


def _with_mean(game: Game, parts: Sequence[Tensor | IndicatorError], meeting: Meeting) -> Game:
    sums = meeting.total(torch.stack(_whole(parts)).sum(0).cpu())
    _check(game, sums)
    return with_mean(game, sums[:-1] / sums[-1].clamp(min=1.0))


def _part(game: Game, rows: RowsAt, leaders: _Leaders | None) -> _Part:
    now = rows.chunk.now
    own, base = rows.own(game), rows.base(game)
    sums = [*_sums(own, now), *_sums(base, now)]
    if leaders is None:
        return _Part(torch.stack(sums))
    delta = differences(own, base)
    found = leaders.among(delta, now)
    picked = [
        torch.zeros(len(found), dtype=torch.float64, device=now.device) if row is None else row[found] for row in delta
    ]
    return _Part(
        torch.cat((torch.stack(sums), _products(delta, now).reshape(-1))),
        found + rows.chunk.start,
        torch.stack(picked, dim=1),
    )


def _joined(
    game: Game, parts: Sequence[_Part | IndicatorError], whales: int, *, spread: bool, meeting: Meeting
) -> Totals:
    k = game.moments
    whole = _whole(parts)
    sums = meeting.total(torch.stack([each.sums for each in whole]).sum(0).cpu())
    _check(game, sums)
    if not spread:
        return Totals(start=sums[k:], end=sums[:k])
    agents = torch.cat([each.agents for each in whole if each.agents is not None]).cpu()
    rows = torch.cat([each.rows for each in whole if each.rows is not None]).cpu()
    products = sums[2 * k :].reshape(k, k)
    chosen, chosen_rows = _whales(agents, rows, products.diagonal().sqrt(), whales, meeting)
    return Totals(sums[k : 2 * k], sums[:k], products, chosen, chosen_rows)


def _whales(agents: Tensor, rows: Tensor, scale: Tensor, whales: int, meeting: Meeting) -> tuple[Tensor, Tensor]:
    """Choose by |Δg| relative to the norm of all agents' Δg, in the moment where that is greatest; ties by index."""
    everyone, first = meeting.gather(rows)
    score = (everyone.abs() / torch.where(scale > 0, scale, 1.0)).amax(1)
    order = torch.argsort(score, descending=True, stable=True)[:whales]
    order = order[score[order] > 0]
    local = order - first
    mine = (local >= 0) & (local < len(agents))
    chosen = torch.full_like(order, -1)
    chosen[mine] = agents[local[mine]]
    return chosen, everyone[order]


def _attempt(work: Callable[[], T]) -> T | IndicatorError:
    """Do it, or give the indicator's failure instead."""
    try:
        return work()
    except IndicatorError as error:
        return error


def _whole(parts: Sequence[T | IndicatorError]) -> list[T]:
    """Give the parts of every chunk, or raise the first failure among them."""
    whole = []
    for each in parts:
        if isinstance(each, IndicatorError):
            raise each
        whole.append(each)
    return whole


def _sums(rows: Sequence[Row], x: State) -> list[Tensor]:
    """Sum each row, each distinct one once."""
    zero = torch.zeros((), dtype=torch.float64, device=x.device)
    known = {id(row): x.row_sum(row) for row in {id(row): row for row in rows if row is not None}.values()}
    return [zero if row is None else known[id(row)] for row in rows]


def _products(delta: Sequence[Row], x: State) -> Tensor:
    """ΣΔg Δgᵀ over these agents, [K, K]."""
    k = len(delta)
    if k > _FEW:
        matrix = stacked(delta, x)
        return matrix @ matrix.T
    products = torch.zeros((k, k), dtype=torch.float64, device=x.device)
    for i, first in enumerate(delta):
        for j, second in enumerate(delta[: i + 1]):
            if first is not None and second is not None:
                products[i, j] = products[j, i] = torch.dot(first, second)
    return products


def _check(game: Game, sums: Tensor) -> None:
    if not bool(torch.isfinite(sums).all()):
        raise IndicatorError(
            f"the totals of {game.indicator.name!r} are not finite; g must give finite numbers for every agent",
        )
