"""The second sweep: every agent's phi, and all sums over phi while it is in cache."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine import oceanic
from engine.contributions import Game, RowsAt, combined, differences
from engine.meeting import Meeting
from engine.oceanic import Ocean
from engine.ranking import Strata
from engine.results import Method
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

    `mass` is Σ|φ| by stratum and `square` Σφ², both over this rank; None without strata.
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
    phis = [torch.empty(state.n, dtype=torch.float64, device=state.device) for _ in solved]

    def part(chunk: Chunk) -> list[tuple[Tensor, Tensor | None]]:
        rows = RowsAt(chunk)
        return [_part(each, phi, rows, method, ranking) for each, phi in zip(solved, phis, strict=True)]

    by_game = zip(*sweep.each(part), strict=True)
    return [_joined(each, phi, parts, meeting) for each, phi, parts in zip(solved, phis, by_game, strict=True)]


def _part(
    solved: Solved, phi: Tensor, rows: RowsAt, method: Method, ranking: Strata | None
) -> tuple[Tensor, Tensor | None]:
    """Fill in a chunk of `phi`; give its sum, the methods' distance² and size², Σφ², and Σ|φ| by stratum."""
    chunk, weights = rows.chunk, solved.weights
    own, base = rows.own(solved.game), rows.base(solved.game)
    here = phi[chunk.start : chunk.stop]
    zero = torch.zeros((), dtype=torch.float64, device=phi.device)
    apart = size = square = zero
    if solved.ocean is None:
        combined(weights, own, base, chunk.now, out=here)
        square = torch.dot(here, here)
    else:
        delta = differences(own, base)
        combined(weights, delta, [None] * len(delta), chunk.now, out=here)
        added = oceanic.correction(solved.ocean, weights, delta, chunk.now)
        _place_whales(added, here, solved, chunk)
        first, cross, apart = torch.dot(here, here), torch.dot(here, added), torch.dot(added, added)
        size = first + 2 * cross + apart
        square = first if method == "aumann-shapley" else size
        if method == "oceanic":
            here.add_(added)
    sums = torch.stack((here.sum(), apart, size, square))
    if ranking is None:
        return sums, None
    label = ranking.label[chunk.start : chunk.stop]
    return sums, torch.bincount(label, weights=here.abs(), minlength=len(ranking.tier))


def _place_whales(added: Tensor, phi: Tensor, solved: Solved, chunk: Chunk) -> None:
    """Make `added` bring a whale's phi to its oceanic share."""
    assert solved.sums.whales is not None
    assert solved.ocean is not None
    for whale, share in zip(solved.sums.whales.agents.tolist(), solved.ocean.whales.tolist(), strict=True):
        if chunk.start <= whale < chunk.stop:
            added[whale - chunk.start] = share - phi[whale - chunk.start]


def _joined(solved: Solved, phi: Tensor, parts: Sequence[tuple[Tensor, Tensor | None]], meeting: Meeting) -> Shares:
    own = torch.stack([sums for sums, _ in parts]).sum(0).cpu()
    met = meeting.total(own)
    masses = [mass for _, mass in parts if mass is not None]
    gap = None
    if solved.ocean is not None:
        gap = float((met[1] / met[2]).sqrt()) if float(met[2]) > 0 else 0.0
    return Shares(phi, float(met[0]), gap, torch.stack(masses).sum(0).cpu() if masses else None, float(own[3]))
