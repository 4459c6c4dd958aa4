"""The first sweep: what of the agents enters a path integral. Ranks meet in nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from engine import fused
from engine.contributions import Game, RowsAt, differences, needs_mean, with_mean
from engine.errors import IndicatorError
from engine.kernels import Phase
from engine.meeting import Meeting, met
from engine.sums import products, row_sums
from engine.sweep import Chunk, Sweeper
from engine.whales import Leaders, Whales, choose

T = TypeVar("T")


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
    parts = _parts(asking, "mean", sweep, [_mean_part] * len(asking))
    fixed: dict[int, Game | IndicatorError] = {
        id(game): _attempt(partial(_with_mean, game, each, meeting)) for game, each in zip(asking, parts, strict=True)
    }
    return [fixed.get(id(game), game) for game in games]


def first_sweep(
    games: Sequence[Game], sweep: Sweeper, *, whales: int, spread: bool, meeting: Meeting
) -> list[Totals | IndicatorError]:
    """Sweep over the agents once for all games; one that fails leaves the rest."""
    known = {id(game): _known(game) for game in games if game.swept is not None and not spread}
    unknown = [game for game in games if id(game) not in known]
    leaders = [Leaders(game.moments, whales) if spread else None for game in unknown]
    works = [partial(_part, leaders=best) for best in leaders]
    by_game = _parts(unknown, "spread" if spread else "totals", sweep, works, whales)
    found: dict[int, Totals | IndicatorError] = {
        id(game): _attempt(partial(_joined, game, parts, whales, spread=spread, meeting=meeting))
        for game, parts in zip(unknown, by_game, strict=True)
    }
    return [known[id(game)] if id(game) in known else found[id(game)] for game in games]


def _known(game: Game) -> Totals:
    """The totals of a game whose baseline gives everyone the same: they were summed to know it."""
    assert game.everyone is not None
    assert game.swept is not None
    return Totals(start=game.everyone * game.swept[-1], end=game.swept[:-1])


def _parts(
    games: Sequence[Game],
    phase: Phase,
    sweep: Sweeper,
    works: Sequence[Callable[[Game, RowsAt], _Part]],
    whales: int = 0,
) -> list[list[_Part | IndicatorError]]:
    """Do each game's work over all agents: by its kernel where it has one, else chunk by chunk."""
    kernels = [fused.fused(game, phase, sweep) for game in games]
    plain = [(game, work) for game, work, kernel in zip(games, works, kernels, strict=True) if kernel is None]

    def part(chunk: Chunk) -> list[_Part | IndicatorError]:
        rows = RowsAt(chunk)
        return [_attempt(partial(work, game, rows)) for game, work in plain]

    chunked = iter(list(zip(*sweep.each(part), strict=True)) if plain else [])
    parts: list[list[_Part | IndicatorError]] = []
    for game, work, kernel in zip(games, works, kernels, strict=True):
        if kernel is None:
            parts.append(list(next(chunked)))
        else:
            found = _attempt(partial(fused.first, kernel, whales, spread=phase == "spread"))
            if isinstance(found, IndicatorError):
                parts.append([found])
            else:
                parts.append([_Part(found[0]), _attempt(partial(work, game, RowsAt(found[1])))])
    return parts


def _mean_part(game: Game, rows: RowsAt) -> _Part:
    now = rows.chunk.now
    return _Part(torch.stack([*row_sums(rows.own(game), now), now.active.sum()]))


def _with_mean(game: Game, parts: Sequence[_Part | IndicatorError], meeting: Meeting) -> Game:
    return with_mean(game, met(meeting, game.indicator.name, partial(_sums, parts), (game.moments + 1,)))


def _part(game: Game, rows: RowsAt, *, leaders: Leaders | None) -> _Part:
    now = rows.chunk.now
    own, base = rows.own(game), rows.base(game)
    sums = [*row_sums(own, now), *row_sums(base, now)]
    if leaders is None:
        return _Part(torch.stack(sums))
    delta = differences(own, base, now)
    found = leaders.among(delta)
    picked = torch.zeros((len(found), game.moments), dtype=torch.float64, device=now.device)
    picked[:, delta.moments] = delta.rows[:, found].T
    moved = products(delta, found, game.moments)
    return _Part(torch.cat((torch.stack(sums), moved.reshape(-1))), rows.chunk.indices(found), picked)


def _joined(
    game: Game, parts: Sequence[_Part | IndicatorError], whales: int, *, spread: bool, meeting: Meeting
) -> Totals:
    k = game.moments
    due = 2 * k + ((k + 1) * k if spread else 0)
    sums = met(meeting, game.indicator.name, partial(_sums, parts), (due,))
    if not spread:
        return Totals(start=sums[k:], end=sums[:k])
    whole = _whole(parts)
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


def _sums(parts: Sequence[_Part | IndicatorError]) -> Tensor:
    return torch.stack([each.sums for each in _whole(parts)]).sum(0).cpu()


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
