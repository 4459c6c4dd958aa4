"""The second sweep: every agent's phi, and all sums over phi while it is in cache."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine import oceanic
from engine.contributions import Game, RowsAt, combined, differences
from engine.oceanic import Ocean
from engine.ranking import Strata
from engine.results import Method
from engine.sweep import Chunk, Sweeper
from engine.totals import Meeting, Totals


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
    chunk = rows.chunk
    own, base = rows.own(solved.game), rows.base(solved.game)
    here = phi[chunk.start : chunk.stop]
    first = combined(solved.weights, own, base, chunk.now)
    zero = torch.zeros((), dtype=torch.float64, device=phi.device)
    apart = size = zero
    if solved.ocean is not None:
        second = first + oceanic.correction(solved.ocean, solved.weights, differences(own, base), chunk.now)
        _place_whales(second, solved, chunk)
        size = torch.dot(second, second)
        apart = ((second - first) ** 2).sum()
        first = second if method == "oceanic" else first
    here.copy_(first)
    sums = torch.stack((first.sum(), apart, size, torch.dot(first, first) if ranking is not None else zero))
    if ranking is None:
        return sums, None
    label = ranking.label[chunk.start : chunk.stop]
    return sums, torch.bincount(label, weights=first.abs_(), minlength=len(ranking.tier))


def _place_whales(phi: Tensor, solved: Solved, chunk: Chunk) -> None:
    assert solved.sums.whales is not None
    assert solved.ocean is not None
    for whale, share in zip(solved.sums.whales.agents.tolist(), solved.ocean.whales.tolist(), strict=True):
        if chunk.start <= whale < chunk.stop:
            phi[whale - chunk.start] = share


def _joined(solved: Solved, phi: Tensor, parts: Sequence[tuple[Tensor, Tensor | None]], meeting: Meeting) -> Shares:
    own = torch.stack([sums for sums, _ in parts]).sum(0).cpu()
    met = meeting.total(own)
    masses = [mass for _, mass in parts if mass is not None]
    gap = None
    if solved.ocean is not None:
        gap = float((met[1] / met[2]).sqrt()) if float(met[2]) > 0 else 0.0
    return Shares(phi, float(met[0]), gap, torch.stack(masses).sum(0).cpu() if masses else None, float(own[3]))
