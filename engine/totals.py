"""The first sweep: what of the agents enters a path integral. Ranks meet in nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from engine.contributions import Game, RowsAt, needs_mean, with_mean
from engine.errors import IndicatorError, attempt
from engine.meeting import Meeting, met
from engine.stack import Stack, row_sums
from engine.sweep import Chunk, Sweeper
from engine.whales import Leaders, Whales, choose


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
class _Apart:
    """Agents whom a chunk's products leave out, for there may be whales among them: `rows` [agents, height] is Δg."""

    agents: Tensor
    rows: Tensor


def fix_means(games: Sequence[Game | IndicatorError], sweep: Sweeper, meeting: Meeting) -> list[Game | IndicatorError]:
    """Fix what everyone contributes in games whose baseline depends on the mean of g over active agents."""
    asking = [place for place, game in enumerate(games) if isinstance(game, Game) and needs_mean(game)]
    results = list(games)
    if not asking:
        return results
    stack = Stack([games[place] for place in asking])

    def part(chunk: Chunk) -> list[Tensor]:
        rows, active = RowsAt(chunk), chunk.now.active
        # With who is active in the place of the baseline, which is not known yet.
        pairs = stack.each(lambda game: (rows.own(game), [active, *[None] * (game.moments - 1)]))
        return [row_sums(pairs, stack.moments, chunk.now)]

    (sums,) = _over(sweep, stack, part)
    own = torch.split(sums, [2 * moments for moments in stack.moments])
    means = met(meeting, stack.names, stack.unfailed(own), [len(each) for each in own])
    for place, each in zip(asking, means, strict=True):
        results[place] = attempt(lambda game, mean: with_mean(game, mean[: game.moments + 1]), games[place], each)
    return results


def first_sweep(
    games: Sequence[Game | IndicatorError], sweep: Sweeper, *, whales: int, spread: bool, meeting: Meeting
) -> list[Totals | IndicatorError]:
    """Sweep over the agents once for all games; one that fails leaves the rest."""
    if spread:
        return _with_products(Stack(games, sweep.compiler), sweep, whales, meeting)
    known = {
        place: _known(game) for place, game in enumerate(games) if isinstance(game, Game) and game.swept is not None
    }
    asking = [place for place in range(len(games)) if place not in known]
    found = _plain(Stack([games[place] for place in asking], sweep.compiler), sweep, meeting) if asking else []
    results = known | dict(zip(asking, found, strict=True))
    return [results[place] for place in range(len(games))]


def _known(game: Game) -> Totals:
    """The totals of a game whose baseline gives everyone the same: they were summed to know it."""
    assert game.everyone is not None
    assert game.swept is not None
    return Totals(start=game.everyone * game.swept[-1], end=game.swept[:-1])


def _plain(stack: Stack, sweep: Sweeper, meeting: Meeting) -> list[Totals | IndicatorError]:
    (sums,) = _over(sweep, stack, lambda chunk: [stack.sums(chunk)])
    own = torch.split(sums, [2 * moments for moments in stack.moments])
    totals = met(meeting, stack.names, stack.unfailed(own), [len(each) for each in own])
    return [attempt(lambda each: Totals(*reversed(each.chunk(2))), total) for total in totals]


def _with_products(stack: Stack, sweep: Sweeper, whales: int, meeting: Meeting) -> list[Totals | IndicatorError]:
    leaders, apart = Leaders(stack.height, whales, sweep.state.device), list[_Apart]()

    def part(chunk: Chunk) -> list[Tensor]:
        delta, sums = stack.delta_and_sums(chunk)
        found = leaders.among(delta)
        apart.append(_Apart(found + chunk.start, delta[:, found].T))
        delta.index_fill_(1, found, 0.0)
        products = [torch.mm(delta[block.rows], delta[block.rows].T) for block in stack.blocks]
        return [sums, delta.sum(1), *products]

    sums, rise, *products = _over(sweep, stack, part)
    square = torch.zeros((stack.height, stack.height), dtype=torch.float64)
    for block, product in zip(stack.blocks, products, strict=True):
        square[block.rows, block.rows] = product
    own = [
        torch.cat((each, rise[at], square[at, at].reshape(-1)))
        for each, at in zip(torch.split(sums, [2 * moments for moments in stack.moments]), stack.rows, strict=True)
    ]
    totals = met(meeting, stack.names, stack.unfailed(own), [len(each) for each in own])
    agents = torch.cat([each.agents for each in apart]).cpu()
    rows, first = meeting.gather(torch.cat([each.rows for each in apart]).cpu())
    return [
        attempt(partial(_spread, candidates=rows[:, at], agents=agents, first=first, whales=whales), game, each)
        for game, each, at in zip(stack.games, totals, stack.rows, strict=True)
    ]


def _spread(game: Game, sums: Tensor, *, candidates: Tensor, agents: Tensor, first: int, whales: int) -> Totals:
    """Choose the whales among the candidates of all ranks, of whom this rank's `agents` begin at `first`."""
    k, height = game.moments, len(game.moved)
    end, start, rise, products = torch.split(sums, [k, k, height, height**2])
    products = products.reshape(height, height)
    chosen = choose(candidates, (products.diagonal() + (candidates**2).sum(0)).sqrt(), whales)
    local = chosen - first
    mine = (local >= 0) & (local < len(agents))
    indices = torch.full_like(chosen, -1)
    indices[mine] = agents[local[mine]]
    others = torch.ones(len(candidates), dtype=torch.bool)
    others[chosen] = False
    lesser = candidates[others]
    moved = torch.tensor(game.moved, dtype=torch.int64)
    rows, whole, square = (torch.zeros(shape, dtype=torch.float64) for shape in ((len(chosen), k), (k,), (k, k)))
    rows[:, moved] = candidates[chosen]
    whole[moved] = rise + lesser.sum(0)
    square[moved[:, None], moved] = products + lesser.T @ lesser
    return Totals(start, end, Whales(indices, rows), whole, square)


def _over(sweep: Sweeper, stack: Stack, part: Callable[[Chunk], list[Tensor]]) -> list[Tensor]:
    """Sum what the chunks give, and bring it to the CPU."""
    return [torch.stack(each).sum(0).cpu() for each in zip(*sweep.each(part, stack.height), strict=True)]
