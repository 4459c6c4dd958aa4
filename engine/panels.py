"""The scale gap: what a panel of a few would have said, with its own totals, held against the attribution of all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine import path
from engine.concentration import tier_shares
from engine.contributions import Game, Row, RowsAt, combined, needs_mean, with_mean
from engine.ranking import most_visible
from engine.results import Panel
from engine.state import State
from engine.sweep import Chunk

Kind = Literal["visible", "uniform"]

TOLERANCE = 1e-10
"""Of a panel's weights: far below anything that a panel gets wrong."""


@dataclass(frozen=True, slots=True)
class Members:
    """The agents of the panels of one kind, int64, of which each panel is the first `sizes`; and who they are."""

    kind: Kind
    agents: Tensor
    tier: Tensor
    sizes: tuple[int, ...]
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class _Totals:
    """One panel's game and totals: the panel is the first `size` of its members."""

    members: Members
    size: int
    game: Game
    start: Tensor
    end: Tensor


def choose(
    state: State, preceding: State | None, visibility: Tensor, tier: Tensor, *, sizes: Iterable[int], seed: int
) -> list[Members]:
    """Take the most visible agents, equals by index, and as many drawn uniformly; a size above N is left out."""
    n = state.n
    fitting = tuple(sorted(size for size in set(sizes) if 0 < size <= n))
    if not fitting:
        return []
    chosen: list[tuple[Kind, Tensor]] = [
        ("visible", most_visible(visibility, fitting[-1])),
        ("uniform", drawn(n, fitting[-1], seed).to(visibility.device)),
    ]
    return [
        Members(
            kind,
            agents,
            tier[agents],
            fitting,
            Chunk(0, len(agents), state.pick(agents), None if preceding is None else preceding.pick(agents)),
        )
        for kind, agents in chosen
    ]


def drawn(n: int, size: int, seed: int) -> Tensor:
    """`size` distinct indices below n in random order, on the CPU; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    if 4 * size >= n:
        return torch.randperm(n, generator=generator)[:size]
    draws = torch.randint(n, (2 * size,), generator=generator)
    values, where = torch.unique(draws, return_inverse=True)
    first = torch.full((len(values),), len(draws)).scatter_reduce(0, where, torch.arange(len(draws)), "amin")
    return draws[first.sort().values[:size]]


def panels(game: Game, members: Sequence[Members], full: Tensor) -> list[Panel]:
    """Attribute inside every panel, by Aumann and Shapley, and compare with the `full` phi [N] of all agents.

    Raises:
        IndicatorError: when the indicator cannot be evaluated inside a panel.
    """
    rows = [RowsAt(each.chunk) for each in members]
    sums = [_totals(game, each, at, size) for each, at in zip(members, rows, strict=True) for size in each.sizes]
    if not sums:
        return []
    weighed = path.weights(
        game.indicator,
        torch.stack([each.start for each in sums]),
        torch.stack([each.end for each in sums]),
        tolerance=TOLERANCE,
    )
    by_kind = {id(each): at for each, at in zip(members, rows, strict=True)}
    found = []
    for each, weights in zip(sums, weighed, strict=True):
        own, base = _rows(each.game, by_kind[id(each.members)])
        now = each.members.chunk.now.part(0, each.size)
        phi = combined(weights.weights, _first(own, each.size), _first(base, each.size), now)
        found.append(_compare(each.members, each.size, phi, full[each.members.agents[: each.size]]))
    return found


def _totals(game: Game, members: Members, at: RowsAt, size: int) -> _Totals:
    now = members.chunk.now.part(0, size)
    if needs_mean(game):
        own = _first(at.own(game), size)
        game = with_mean(game, _sums(own) / now.active.sum().clamp(min=1.0).cpu())
    own, base = _rows(game, at)
    return _Totals(members, size, game, _sums(_first(base, size)), _sums(_first(own, size)))


def _rows(game: Game, at: RowsAt) -> tuple[list[Row], list[Row]]:
    return at.own(game), at.base(game)


def _first(rows: Sequence[Row], size: int) -> list[Row]:
    """The rows of the first `size` members; a row that stood twice stands twice again."""
    cut = {id(row): row[:size] for row in rows if row is not None}
    return [None if row is None else cut[id(row)] for row in rows]


def _sums(rows: Sequence[Row]) -> Tensor:
    zero = torch.zeros((), dtype=torch.float64)
    return torch.stack([zero if row is None else row.sum().to("cpu", torch.float64) for row in rows])


def _compare(members: Members, size: int, phi: Tensor, full: Tensor) -> Panel:
    power = float(torch.dot(phi, phi))
    factor = float(torch.dot(full, phi)) / power if power > 0 else 0.0
    norm = float(full.norm())
    return Panel(
        kind=members.kind,
        size=size,
        factor=factor,
        residual=float((full - factor * phi).norm()) / norm if norm > 0 else 0.0,
        tier_shares=tier_shares(phi, members.tier[:size]),
    )
