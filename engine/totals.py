"""The first sweep: what of the agents enters a path integral. Ranks meet in nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from engine.contributions import Game, Row, RowsAt, differences, needs_mean, stacked, with_mean
from engine.errors import IndicatorError
from engine.meeting import Meeting
from engine.state import State
from engine.sweep import Chunk, Sweeper
from engine.whales import Leaders, Whales, choose

T = TypeVar("T")

_FEW = 4
"""Up to so many moments their products are summed pair by pair, beyond by one matrix product."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all agents, on the CPU: `end` = Σg(x) and `start` = Σg(b), both [K].

    Where asked for: the whales, and of all others `rise` = ΣΔg [K] and `spread` = ΣΔg Δgᵀ [K, K], which are summed
    apart from the whales lest these drown them.
    """

    start: Tensor
    end: Tensor
    whales: Whales | None = None
    rise: Tensor | None = None
    spread: Tensor | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """What one chunk adds to one game: flat sums, and the agents among whom its whales are, with their Δg."""

    sums: Tensor
    agents: Tensor | None = None
    rows: Tensor | None = None


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
    leaders = [Leaders(game.moments, whales, sweep.workers) for game in games]

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


def _part(game: Game, rows: RowsAt, leaders: Leaders | None) -> _Part:
    now = rows.chunk.now
    own, base = rows.own(game), rows.base(game)
    sums = [*_sums(own, now), *_sums(base, now)]
    if leaders is None:
        return _Part(torch.stack(sums))
    delta = differences(own, base)
    found = leaders.among(delta, rows.chunk)
    picked = [
        torch.zeros(len(found), dtype=torch.float64, device=now.device) if row is None else row[found] for row in delta
    ]
    return _Part(
        torch.cat((torch.stack(sums), _products(delta, found, now).reshape(-1))),
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
    rows, first = meeting.gather(torch.cat([each.rows for each in whole if each.rows is not None]).cpu())
    products = sums[2 * k :].reshape(k + 1, k)
    chosen = choose(rows, (products[:k].diagonal() + (rows * rows).sum(0)).sqrt(), whales)
    local = chosen - first
    mine = (local >= 0) & (local < len(agents))
    indices = torch.full_like(chosen, -1)
    indices[mine] = agents[local[mine]]
    others = torch.ones(len(rows), dtype=torch.bool)
    others[chosen] = False
    lesser = rows[others]
    return Totals(
        start=sums[k : 2 * k],
        end=sums[:k],
        whales=Whales(indices, rows[chosen]),
        rise=products[k] + lesser.sum(0),
        spread=products[:k] + lesser.T @ lesser,
    )


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


def _products(delta: Sequence[Row], without: Tensor, x: State) -> Tensor:
    """ΣΔg Δgᵀ and, as the last row, ΣΔg over these agents but some, [K + 1, K]."""
    k = len(delta)
    if k > _FEW:
        matrix = stacked(delta, x)
        matrix[:, without] = 0.0
        return torch.cat((matrix @ matrix.T, matrix.sum(1)[None]))
    rows = [row if row is None or not len(without) else row.index_fill(0, without, 0.0) for row in delta]
    products = torch.zeros((k + 1, k), dtype=torch.float64, device=x.device)
    for i, first in enumerate(rows):
        if first is None:
            continue
        products[k, i] = first.sum()
        for j, second in enumerate(rows[: i + 1]):
            if second is not None:
                products[i, j] = products[j, i] = torch.dot(first, second)
    return products


def _check(game: Game, sums: Tensor) -> None:
    if not bool(torch.isfinite(sums).all()):
        raise IndicatorError(
            f"the totals of {game.indicator.name!r} are not finite; g must give finite numbers for every agent",
        )
