"""The second sweep: every agent's phi, and all sums over phi while it is in cache."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine import fused, oceanic
from engine.contributions import Game, RowsAt, differences
from engine.kernels import Phase
from engine.meeting import Meeting
from engine.memory import room
from engine.oceanic import Ocean
from engine.ranking import Strata
from engine.results import Method
from engine.sweep import Chunk, Sweeper
from engine.totals import Totals

_Part = tuple[Tensor, Tensor | None]
"""What one chunk adds: its sums, and Σ|φ| by stratum."""
_SUMS = 4
"""Σφ, the methods' distance² and size², and Σφ²."""


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

    `mass` is Σ|φ| by stratum, None without strata, and `square` Σφ², both over all ranks.
    """

    phi: Tensor
    total: float
    finite_gap: float | None
    mass: Tensor | None
    square: float


def second_sweep(
    solved: Sequence[Solved], sweep: Sweeper, *, method: Method, ranking: Strata | None, meeting: Meeting
) -> list[Shares]:
    """Sweep over the agents once for all games."""
    state = sweep.state
    phis = [room(state.n, state.device) for _ in solved]
    pairs = list(zip(solved, phis, strict=True))
    kernels = [fused.fused(each.game, _phase(each, method), sweep) for each in solved]
    plain = [pair for pair, kernel in zip(pairs, kernels, strict=True) if kernel is None]
    quick = [phi for phi, kernel in zip(phis, kernels, strict=True) if kernel is not None]

    def part(chunk: Chunk) -> list[_Part]:
        rows = RowsAt(chunk)
        return [_part(each, phi[chunk.start : chunk.stop], rows, method, ranking) for each, phi in plain]

    def masses(chunk: Chunk) -> list[Tensor]:
        assert ranking is not None
        return [_mass(phi[chunk.start : chunk.stop], chunk, ranking) for phi in quick]

    chunked = iter(list(zip(*sweep.each(part), strict=True)) if plain else [])
    swept: list[list[_Part]] = []
    for (each, phi), kernel in zip(pairs, kernels, strict=True):
        swept.append(list(next(chunked)) if kernel is None else _fused_parts(kernel, each, phi, method))
    by_game = iter(list(zip(*sweep.each(masses), strict=True)) if quick and ranking is not None else [])
    for kernel, parts in zip(kernels, swept, strict=True):
        if kernel is not None and ranking is not None:
            nothing = torch.zeros(_SUMS, dtype=torch.float64, device=state.device)
            parts.append((nothing, torch.stack(next(by_game)).sum(0)))
    return [_joined(each, phi, parts, meeting) for (each, phi), parts in zip(pairs, swept, strict=True)]


def _phase(solved: Solved, method: Method) -> Phase:
    if solved.ocean is None:
        return "shares"
    return "oceanic shares" if method == "oceanic" else "shares beside"


def _fused_parts(kernel: fused.Fused, solved: Solved, phi: Tensor, method: Method) -> list[_Part]:
    """Fill in `phi` by the kernel, and plainly for those who need a closer look."""
    whales = solved.sums.whales
    linear = None if solved.ocean is None else solved.ocean.weights - solved.weights
    sums, others = fused.second(
        kernel,
        weights=solved.weights,
        linear=linear,
        quadratic=None if solved.ocean is None else solved.ocean.quadratic,
        out=phi,
        whales=torch.zeros(0, dtype=torch.int64) if whales is None or solved.ocean is None else whales.agents,
    )
    assert others.agents is not None
    here = torch.empty(len(others.agents), dtype=torch.float64, device=phi.device)
    part = _part(solved, here, RowsAt(others), method, None)
    phi[others.agents] = here
    return [(sums, None), part]


def _part(solved: Solved, here: Tensor, rows: RowsAt, method: Method, ranking: Strata | None) -> _Part:
    """Fill in a chunk of phi; give its sum, the methods' distance² and size², Σφ², and Σ|φ| by stratum."""
    chunk, weights = rows.chunk, solved.weights
    own, base = rows.own(solved.game), rows.base(solved.game)
    zero = torch.zeros((), dtype=torch.float64, device=here.device)
    apart = size = square = zero
    delta = differences(own, base, chunk.now)
    delta.weighted(weights, here)
    if solved.ocean is None:
        square = torch.dot(here, here)
    else:
        added = oceanic.correction(solved.ocean, weights, delta, chunk.now)
        _place_whales(added, here, solved, chunk)
        first, cross, apart = torch.dot(here, here), torch.dot(here, added), torch.dot(added, added)
        size = first + 2 * cross + apart
        square = first if method == "aumann-shapley" else size
        if method == "oceanic":
            here.add_(added)
    sums = torch.stack((here.sum(), apart, size, square))
    return sums, None if ranking is None else _mass(here, chunk, ranking)


def _mass(phi: Tensor, chunk: Chunk, ranking: Strata) -> Tensor:
    size = torch.abs(phi, out=chunk.now.buffer("size", 1)[0])
    return torch.bincount(ranking.label[chunk.start : chunk.stop], weights=size, minlength=len(ranking.tier))


def _place_whales(added: Tensor, phi: Tensor, solved: Solved, chunk: Chunk) -> None:
    """Make `added` bring a whale's phi to its oceanic share."""
    assert solved.sums.whales is not None
    assert solved.ocean is not None
    for whale, share in zip(solved.sums.whales.agents.tolist(), solved.ocean.whales.tolist(), strict=True):
        place = chunk.place(whale)
        if place is not None:
            added[place] = share - phi[place]


def _joined(solved: Solved, phi: Tensor, parts: Sequence[_Part], meeting: Meeting) -> Shares:
    masses = [mass for _, mass in parts if mass is not None]
    own = torch.stack([sums for sums, _ in parts]).sum(0)
    if masses:
        own = torch.cat((own, torch.stack(masses).sum(0)))
    met = meeting.total(own.cpu())
    total, apart, size, square = met[:_SUMS].tolist()
    gap = None
    if solved.ocean is not None:
        gap = math.sqrt(apart / size) if size > 0 else 0.0
    return Shares(phi, total, gap, met[_SUMS:] if masses else None, square)
