"""The first sweep: what of the agents enters a path integral. Ranks meet in nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from engine.contributions import Game, Row, differences
from engine.errors import IndicatorError
from engine.state import State
from engine.sweep import Sweeper


class Meeting(Protocol):
    """Where ranks meet. Each rank has agents of its own; alone, both functions give back what they got."""

    def total(self, sums: Tensor) -> Tensor:
        """Sum a float64 [D] over ranks, the same on each."""

    def gather(self, rows: Tensor) -> tuple[Tensor, int]:
        """Join float64 [m, D] of every rank, in the order of ranks, and say where this rank's rows begin."""


class Alone:
    """One rank: nothing to meet."""

    def total(self, sums: Tensor) -> Tensor:
        """Give back `sums`."""
        return sums

    def gather(self, rows: Tensor) -> tuple[Tensor, int]:
        """Give back `rows`."""
        return rows, 0


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all agents: `end` = Σg(x) and `start` = Σg(b), both [K].

    Where asked for: `spread` = ΣΔg Δgᵀ [K, K]; `whales` [m] indices of this rank's agents (-1: another rank's) and
    `whale_rows` [m, K] their Δg.
    """

    start: Tensor
    end: Tensor
    spread: Tensor | None = None
    whales: Tensor | None = None
    whale_rows: Tensor | None = None


@dataclass(slots=True)
class _Part:
    """What one chunk adds."""

    sums: Tensor
    spread: Tensor | None
    agents: Tensor | None
    rows: Tensor | None


def mean_of_active(game: Game, state: State, sweep: Sweeper, meeting: Meeting) -> Tensor:
    """The mean of g over active agents, [K], on the CPU."""

    def part(start: int, stop: int) -> Tensor:
        x = state.part(start, stop)
        return torch.stack([*_sums(game.own(x), x), x.active.sum()])

    sums = meeting.total(torch.stack(sweep.over(state.n, part)).sum(0)).cpu()
    return sums[:-1] / sums[-1].clamp(min=1.0)


def totals(
    game: Game, state: State, before: State | None, *, whales: int, spread: bool, sweep: Sweeper, meeting: Meeting
) -> Totals:
    """Sweep over the agents once.

    Raises:
        IndicatorError: when the totals are not finite, or g cannot be evaluated.
    """
    k = game.moments

    def part(start: int, stop: int) -> _Part:
        x = state.part(start, stop)
        own = game.own(x)
        base = game.base(x, own, None if before is None else before.part(start, stop))
        sums = torch.stack([*_sums(own, x), *_sums(base, x)])
        if not spread:
            return _Part(sums, None, None, None)
        delta = stacked(differences(own, base), x)
        leaders = _leaders(delta, whales)
        return _Part(sums, delta @ delta.T, leaders + start, delta[:, leaders].T)

    parts = sweep.over(state.n, part)
    sums = torch.stack([each.sums for each in parts]).sum(0).cpu()
    if not spread:
        sums = meeting.total(sums)
        _check(game, sums)
        return Totals(start=sums[k:], end=sums[:k])
    spreads = torch.stack([each.spread for each in parts if each.spread is not None]).sum(0).cpu()
    joined = meeting.total(torch.cat((sums, spreads.reshape(-1))))
    _check(game, joined)
    agents = torch.cat([each.agents for each in parts if each.agents is not None]).cpu()
    rows = torch.cat([each.rows for each in parts if each.rows is not None]).cpu()
    chosen, chosen_rows = _whales(agents, rows, whales, meeting)
    return Totals(joined[k : 2 * k], joined[:k], joined[2 * k :].reshape(k, k), chosen, chosen_rows)


def stacked(rows: Sequence[Row], x: State) -> Tensor:
    """Rows as one matrix [K, n]."""
    zero = torch.zeros(x.n, dtype=torch.float64, device=x.device)
    return torch.stack([zero if row is None else row for row in rows])


def _sums(rows: list[Row], x: State) -> list[Tensor]:
    zero = torch.zeros((), dtype=torch.float64, device=x.device)
    known: dict[int, Tensor] = {}
    for row in rows:
        if row is not None and id(row) not in known:
            known[id(row)] = row.sum()
    return [zero if row is None else known[id(row)] for row in rows]


def _leaders(delta: Tensor, whales: int) -> Tensor:
    """The agents of a chunk among whom its whales must be: the `whales` largest in each moment."""
    count = min(whales, delta.shape[1])
    leaders: Tensor = torch.unique(delta.abs().topk(count, dim=1).indices)
    return leaders


def _whales(agents: Tensor, rows: Tensor, whales: int, meeting: Meeting) -> tuple[Tensor, Tensor]:
    """Choose by the largest |Δg| relative to the same moment's greatest total, ties by index."""
    everyone, first = meeting.gather(rows)
    scale = everyone.abs().sum(0)
    score = (everyone.abs() / torch.where(scale > 0, scale, 1.0)).amax(1)
    order = torch.argsort(score, descending=True, stable=True)[:whales]
    order = order[score[order] > 0]
    mine = (order >= first) & (order < first + len(agents))
    local = (
        torch.where(mine, agents[(order - first).clamp(0, max(len(agents) - 1, 0))], -1)
        if len(agents)
        else -1 + 0 * order
    )
    return local, everyone[order]


def _check(game: Game, sums: Tensor) -> None:
    if not bool(torch.isfinite(sums).all()):
        raise IndicatorError(
            f"the totals of {game.indicator.name!r} are not finite; g must give finite numbers for every agent",
        )
