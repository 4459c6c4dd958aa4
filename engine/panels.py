"""The scale gap: what a panel of a few would have said, with its own totals, held against the attribution of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from engine import path
from engine.concentration import shares, sums
from engine.contributions import Game, Row, RowsAt, differences, needs_mean, with_mean
from engine.meeting import Meeting, met
from engine.members import Members
from engine.results import TIERS, Panel
from engine.state import State

TOLERANCE = 1e-10
"""Of a panel's weights: far below anything that a panel gets wrong."""


@dataclass(frozen=True, slots=True)
class _Seat:
    """This rank's part of one panel: the first `own` of these members, of `size` over all ranks."""

    members: Members
    rows: RowsAt
    size: int
    own: int

    @property
    def now(self) -> State:
        return self.members.chunk.now.part(0, self.own)

    def first(self, rows: Sequence[Row]) -> list[Row]:
        """Cut rows to this panel; a row that stood twice stands twice again."""
        cut = {id(row): row[: self.own] for row in rows if row is not None}
        return [None if row is None else cut[id(row)] for row in rows]


def panels(game: Game, members: Sequence[Members], full: Tensor, meeting: Meeting) -> list[Panel]:
    """Attribute inside every panel, by Aumann and Shapley, and compare with the `full` phi [N] of this rank's agents.

    Raises:
        IndicatorError: when the indicator cannot be evaluated inside a panel, on any rank.
    """
    seats = [
        _Seat(each, rows, size, own)
        for each, rows in ((each, RowsAt(each.chunk)) for each in members)
        for size, own in zip(each.sizes, each.own, strict=True)
    ]
    if not seats:
        return []
    name, k = game.indicator.name, game.moments
    games = [game] * len(seats)
    if needs_mean(game):
        means = met(meeting, name, partial(_means, game, seats), (len(seats), k + 1))
        games = [with_mean(game, each) for each in means]
    totals = met(meeting, name, partial(_totals, games, seats), (len(seats), 2 * k))
    weighed = path.weights(game.indicator, totals[:, k:], totals[:, :k], tolerance=TOLERANCE)
    phis = [_phi(*each) for each in zip(games, seats, weighed, strict=True)]
    fulls = [full[seat.members.agents[: seat.own]] for seat in seats]
    return _compared(seats, phis, fulls, meeting)


def _means(game: Game, seats: Sequence[_Seat]) -> Tensor:
    """Σg and the number of active agents of each panel, [P, K + 1]."""
    return torch.stack(
        [torch.cat((_sums(seat.first(seat.rows.own(game))), seat.now.active.sum().cpu()[None])) for seat in seats]
    )


def _totals(games: Sequence[Game], seats: Sequence[_Seat]) -> Tensor:
    """Σg(x) and Σg(b) of each panel, [P, 2K]."""
    return torch.stack(
        [
            torch.cat((_sums(seat.first(seat.rows.own(game))), _sums(seat.first(seat.rows.base(game)))))
            for game, seat in zip(games, seats, strict=True)
        ]
    )


def _phi(game: Game, seat: _Seat, found: path.Lambda) -> Tensor:
    own, base = seat.rows.own(game), seat.rows.base(game)
    delta = differences(seat.first(own), seat.first(base), seat.now)
    return delta.weighted(found.weights, torch.empty(seat.own, dtype=torch.float64, device=delta.rows.device))


def _sums(rows: Sequence[Row]) -> Tensor:
    zero = torch.zeros((), dtype=torch.float64)
    return torch.stack([zero if row is None else row.sum().to("cpu", torch.float64) for row in rows])


def _compared(seats: Sequence[_Seat], phis: Sequence[Tensor], fulls: Sequence[Tensor], meeting: Meeting) -> list[Panel]:
    """Hold each panel's phi against the full one of the same agents."""
    products = [torch.stack((phi @ phi, full @ phi, full @ full)).cpu() for phi, full in zip(phis, fulls, strict=True)]
    power, common, size = meeting.total(torch.stack(products)).unbind(1)
    factors = torch.where(power > 0, common / power, 0.0)
    rests = []
    for seat, phi, full, factor in zip(seats, phis, fulls, factors.tolist(), strict=True):
        rest = full - factor * phi
        mass = sums(phi.abs(), seat.members.tier[: seat.own].to(torch.int64), len(TIERS))
        rests.append(torch.cat(((rest @ rest)[None], mass)).cpu())
    apart = meeting.total(torch.stack(rests))
    residuals = torch.where(size > 0, (apart[:, 0] / size).sqrt(), 0.0)
    return [
        Panel(seat.members.kind, seat.size, factor, residual, shares(mass, torch.arange(len(TIERS))))
        for seat, factor, residual, mass in zip(seats, factors.tolist(), residuals.tolist(), apart[:, 1:], strict=True)
    ]
