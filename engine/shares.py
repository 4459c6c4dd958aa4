"""The second sweep: every agent's phi, and all sums over phi while it is in cache."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from engine.concentration import sums
from engine.contributions import Game
from engine.errors import IndicatorError, attempt
from engine.meeting import Meeting, met
from engine.memory import room
from engine.oceanic import Ocean
from engine.ranking import Strata
from engine.results import Method
from engine.stack import Block, Stack, dots
from engine.sweep import Chunk, Sweeper
from engine.totals import Totals


@dataclass(frozen=True, slots=True)
class Solved:
    """What the second sweep needs: a game's sums, Aumann and Shapley's `weights` [K], the ocean if asked for."""

    game: Game
    sums: Totals
    weights: Tensor
    ocean: Ocean | None


@dataclass(frozen=True, slots=True)
class Shares:
    """`phi` [N] of this rank's agents, their sum over all ranks, the gap between the methods where it is known.

    `mass` is Σ|φ| by stratum, of no stratum without a ranking, and `square` Σφ², both over all ranks.
    """

    phi: Tensor
    total: float
    finite_gap: float | None
    mass: Tensor
    square: float


class _Weights:
    """What multiplies Δg: for each block of the stack `first` [games, rows], and for the ocean what it adds.

    That is Σₖ (`linear`ₖ + (`quadratic` Δg)ₖ) Δgₖ over a game's rows, which `members` [games, rows] marks with 1.
    """

    def __init__(self, stack: Stack, solved: Sequence[Solved | IndicatorError], *, device: torch.device) -> None:
        oceans = [each.ocean for each in solved if isinstance(each, Solved)]
        self.finite = bool(oceans) and all(ocean is not None for ocean in oceans)
        first = torch.zeros((len(solved), stack.height), dtype=torch.float64)
        members, linear = torch.zeros_like(first), torch.zeros_like(first)
        quadratic = torch.zeros((stack.height, stack.height), dtype=torch.float64)
        whales, own = [], []
        for place, (each, at) in enumerate(zip(solved, stack.rows, strict=True)):
            if isinstance(each, IndicatorError):
                continue
            moved = list(each.game.moved)
            first[place, at] = each.weights[moved]
            members[place, at] = 1.0
            if each.ocean is not None and each.sums.whales is not None:
                linear[place, at] = (each.ocean.weights - each.weights)[moved]
                quadratic[at, at] = each.ocean.quadratic[moved][:, moved]
                whales.append(torch.stack((torch.full_like(each.sums.whales.agents, place), each.sums.whales.agents)))
                own.append(each.ocean.whales)
        self.first, self.members, self.linear, self.quadratic = (
            each.to(device) for each in (first, members, linear, quadratic)
        )
        self._whales = torch.cat(whales, dim=1) if whales else torch.zeros((2, 0), dtype=torch.int64)
        self._own = torch.cat(own) if own else torch.zeros(0, dtype=torch.float64)

    def correct(self, block: Block, delta: Tensor, bent: Tensor, out: Tensor) -> None:
        """Write what the ocean adds to the block's games into `out`; `bent` is scratch in the shape of `delta`."""
        games, rows = block.games, block.rows
        torch.mm(self.quadratic[rows, rows], delta, out=bent).mul_(delta)
        torch.mm(self.members[games, rows], bent, out=out).addmm_(self.linear[games, rows], delta)

    def place_whales(self, added: Tensor, phi: Tensor, chunk: Chunk) -> None:
        """Make `added` bring the phi of the whales of a chunk to their oceanic share; both are [games, n]."""
        here = (self._whales[1] >= chunk.start) & (self._whales[1] < chunk.stop)
        if bool(here.any()):
            game, agent = self._whales[:, here].to(phi.device)
            agent = agent - chunk.start
            added[game, agent] = self._own[here].to(phi.device) - phi[game, agent]


def second_sweep(
    solved: Sequence[Solved | IndicatorError],
    sweep: Sweeper,
    *,
    method: Method,
    ranking: Strata | None,
    meeting: Meeting,
) -> tuple[Tensor, list[Shares | IndicatorError]]:
    """Sweep over the agents once for all games; one that fails leaves the rest. Gives all phi as well, [games, N]."""
    state = sweep.state
    stack = Stack([each if isinstance(each, IndicatorError) else each.game for each in solved], sweep.compiler)
    weights = _Weights(stack, solved, device=state.device)
    phi = room((len(solved), state.n), state.device)

    def part(chunk: Chunk) -> Tensor:
        n, here, now = chunk.stop - chunk.start, phi[:, chunk.start : chunk.stop], chunk.now
        delta = stack.delta(chunk)[:, :n]
        added, bent = now.buffer("added", len(here)), now.buffer("bent", stack.height)
        for block in stack.blocks:
            torch.mm(weights.first[block.games, block.rows], delta[block.rows], out=here[block.games])
            if weights.finite:
                weights.correct(block, delta[block.rows], bent[block.rows], added[block.games])
        if weights.finite:
            weights.place_whales(added, here, chunk)
        squares = [dots(*pair) for pair in ((here, here), *([(here, added), (added, added)] if weights.finite else []))]
        if method == "oceanic":
            here.add_(added)
        found = torch.stack((here.sum(1), *squares), dim=1)
        if ranking is None:
            return found
        mass = sums(torch.abs(here, out=added), ranking.label[chunk.start : chunk.stop], len(ranking.tier))
        return torch.cat((found, mass), dim=1)

    own = torch.stack(sweep.each(part, stack.height)).sum(0).cpu().unbind()
    totals = met(meeting, stack.names, stack.unfailed(own), [len(each) for each in own])
    return phi, [attempt(partial(_share, method=method), *each) for each in zip(solved, phi, totals, strict=True)]


def _share(solved: Solved, phi: Tensor, sums: Tensor, *, method: Method) -> Shares:
    """`sums` are Σφ, Σφ² of Aumann and Shapley, with an ocean Σφa and Σa² of what it adds, and Σ|φ| by stratum."""
    total, first, *more = sums[: 2 if solved.ocean is None else 4].tolist()
    mass = sums[2 + len(more) :]
    if solved.ocean is None:
        return Shares(phi, total, None, mass, first)
    cross, apart = more
    size = first + 2 * cross + apart
    gap = math.sqrt(apart / size) if size > 0 else 0.0
    return Shares(phi, total, gap, mass, size if method == "oceanic" else first)
