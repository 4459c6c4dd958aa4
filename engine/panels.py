"""The scale gap: what a panel of a few would have said, with its own totals, held against the attribution of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from engine import path
from engine.concentration import shares, sums
from engine.contributions import Game, RowsAt, needs_mean, with_mean
from engine.errors import IndicatorError, attempt
from engine.meeting import Meeting, met
from engine.members import Kind, Members
from engine.results import TIERS, Panel
from engine.stack import Pair, Stack, dots

TOLERANCE = 1e-8
"""Of a panel's weights: far below anything that a panel gets wrong."""


@dataclass(frozen=True, slots=True)
class _Seat:
    """This rank's part of one panel of `size` over all ranks: what its m members contribute, [ΣK, m] each.

    A baseline of everyone counts as zero in `base`: its level is the panel's own. `full` [games, m] is their phi.
    """

    kind: Kind
    size: int
    own: Tensor
    base: Tensor
    active: Tensor
    tier: Tensor
    full: Tensor


def panels(
    games: Sequence[Game | IndicatorError], members: Sequence[Members], full: Tensor, meeting: Meeting
) -> list[list[Panel] | IndicatorError]:
    """Attribute inside every panel, by Aumann and Shapley, and compare with the `full` phi of this rank's agents.

    `full` is float64 [games, N]. An indicator that cannot be evaluated inside a panel, on any rank, fails alone.
    """
    stack = Stack(games)
    seats = [seat for each in members for seat in _seats(each, stack, full)]
    if not seats:
        return [attempt(lambda _: [], game) for game in games]
    totals_here = torch.stack(
        [torch.cat((seat.own.sum(1), seat.base.sum(1), seat.active.sum()[None])) for seat in seats]
    )
    own, base, active = torch.split(totals_here.cpu(), [sum(stack.moments), sum(stack.moments), 1], dim=1)
    by_game = [
        torch.cat((*each, active), dim=1)
        for each in zip(*(torch.split(part, stack.moments, dim=1) for part in (own, base)), strict=True)
    ]
    flat = [each.reshape(-1) for each in by_game]
    totals = met(meeting, stack.names, stack.unfailed(flat), [len(each) for each in flat])
    weighed = [attempt(partial(_weigh, panels=len(seats)), *each) for each in zip(games, totals, strict=True)]
    found = _compared(seats, stack.moments, weighed, meeting)
    return [attempt(lambda _, seen: seen, *each) for each in zip(weighed, found, strict=True)]


def _seats(members: Members, stack: Stack, full: Tensor) -> list[_Seat]:
    """The panels of one kind, each the first so many members of the greatest."""
    rows, now = RowsAt(members.chunk), members.chunk.now
    pairs = stack.each(lambda game: (rows.own(game), [] if needs_mean(game) else rows.base(game)))
    own, base = (_matrix(pairs, stack.moments, which, now.active) for which in (0, 1))
    tier, phi = members.tier.to(torch.int64), full.gather(1, members.agents.expand(len(full), -1))
    return [
        _Seat(members.kind, size, *(each[..., :count] for each in (own, base, now.active, tier, phi)))
        for size, count in zip(members.sizes, members.own, strict=True)
    ]


def _matrix(pairs: Sequence[Pair | IndicatorError], moments: Sequence[int], which: int, like: Tensor) -> Tensor:
    """Rows of all games, [ΣK, m]; zeros where there is none."""
    matrix = like.new_zeros((sum(moments), len(like)))
    for pair, rows in zip(pairs, torch.split(matrix, list(moments)), strict=True):
        given = [] if isinstance(pair, IndicatorError) else pair[which]
        for row, values in zip(rows, given, strict=False):
            if values is not None:
                row.copy_(values)
    return matrix


def _weigh(game: Game, sums: Tensor, *, panels: int) -> tuple[Tensor, Tensor]:
    """The weights in each panel, [P, K], and what a baseline of everyone takes from each active agent's phi, [P]."""
    own, base, active = torch.split(sums.reshape(panels, -1), [game.moments, game.moments, 1], dim=1)
    levels = torch.zeros_like(own)
    if needs_mean(game):
        fixed = [with_mean(game, mean).everyone for mean in torch.cat((own, active), dim=1)]
        levels = torch.stack([each for each in fixed if each is not None])
        base = levels * active
    found = path.weights(game.indicator, base, own, tolerance=TOLERANCE)
    weights = torch.stack([each.weights for each in found])
    return weights, (weights * levels).sum(1)


def _compared(
    seats: Sequence[_Seat],
    moments: Sequence[int],
    weighed: Sequence[tuple[Tensor, Tensor] | IndicatorError],
    meeting: Meeting,
) -> list[list[Panel]]:
    """Hold each panel's phi against the full one of the same agents, for each game."""
    phis = [_phi(seat, place, moments, weighed) for place, seat in enumerate(seats)]
    products = [
        torch.stack((dots(phi, phi), dots(seat.full, phi), dots(seat.full, seat.full)))
        for seat, phi in zip(seats, phis, strict=True)
    ]
    power, common, size = meeting.total(torch.stack(products).cpu()).unbind(1)
    factors = torch.where(power > 0, common / power, 0.0)
    rests = []
    for seat, phi, factor in zip(seats, phis, factors, strict=True):
        rest = seat.full - factor.to(phi.device)[:, None] * phi
        rests.append(torch.cat((dots(rest, rest)[:, None], sums(phi.abs(), seat.tier, len(TIERS))), dim=1))
    apart = meeting.total(torch.stack(rests).cpu())
    residuals = torch.where(size > 0, (apart[..., 0] / size).sqrt(), 0.0)
    return [
        [
            Panel(seat.kind, seat.size, factor, residual, shares(mass, torch.arange(len(TIERS))))
            for seat, factor, residual, mass in zip(
                seats, factors[:, game].tolist(), residuals[:, game].tolist(), apart[:, game, 1:], strict=True
            )
        ]
        for game in range(len(weighed))
    ]


def _phi(
    seat: _Seat, place: int, moments: Sequence[int], weighed: Sequence[tuple[Tensor, Tensor] | IndicatorError]
) -> Tensor:
    """Every game's phi inside one panel, [games, m]; zero of one that failed."""
    weights = torch.zeros((len(moments), sum(moments)), dtype=torch.float64)
    taken = torch.zeros((len(moments), 1), dtype=torch.float64)
    for game, (found, own) in enumerate(zip(weighed, torch.split(weights, list(moments), dim=1), strict=True)):
        if not isinstance(found, IndicatorError):
            own[game], taken[game] = found[0][place], found[1][place]
    device = seat.own.device
    return weights.to(device) @ (seat.own - seat.base) - taken.to(device) * seat.active
