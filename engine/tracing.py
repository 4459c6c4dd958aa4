"""What a sweep takes from a chunk as a pure function of tables, for a compiler to make one loop over memory of it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.contributions import Game, Row, needs_mean
from engine.errors import IndicatorError
from engine.stack import Pair, Phase, Stack
from engine.state import State
from engine.sweep import Chunk

Work = Callable[..., list[Tensor]]
"""Takes tables [26, n], now and before, the levels of baselines of everyone, [ΣK], and room for each row of Δg, [n].

Writes Δg there and gives the sums, each where the phase wants it. Of a matrix a compiler would make a copy first.
"""


class Traced(State):
    """Agents as a compiler sees them: every column and total is float64 at once.

    What is derived from it holds for any counts, where a State picks its arithmetic by the greatest of each column.
    """

    __slots__ = ()

    @classmethod
    def over(cls, columns: Tensor) -> "Traced":
        """Wrap columns that come out of a State."""
        traced = object.__new__(cls)
        for name, value in (("columns", columns), ("_peaks", ()), ("_derived", {}), ("_scratch", None)):
            object.__setattr__(traced, name, value)
        return traced

    def _sum(self, positions: Sequence[int]) -> Tensor:
        total = self.columns[positions[0]].to(torch.float64)
        for each in positions[1:]:
            total = total + self.columns[each].to(torch.float64)
        return total

    def _float(self, name: str, whole: Tensor) -> Tensor:  # noqa: ARG002 - without scratch a name says nothing
        return whole.to(torch.float64)


def inputs(stack: Stack, chunk: Chunk, delta: Tensor) -> tuple[Tensor, ...]:
    """What a stack's work takes of a chunk and room [height, n]; where nobody was before, it does not look there."""
    now, before = chunk.now.columns, chunk.now.columns if chunk.before is None else chunk.before.columns
    levels = [torch.zeros(0, dtype=torch.float64)]
    for game, moments in zip(stack.games, stack.moments, strict=True):
        known = None if isinstance(game, IndicatorError) else game.everyone
        levels.append(torch.zeros(moments, dtype=torch.float64) if known is None else known)
    return now, before, torch.cat(levels).to(now.device), *delta.unbind()


def work_of(stack: Stack, phase: Phase) -> Work:
    """The function that gives what a phase wants; a game that has failed gives zeros."""
    games = [None if isinstance(game, IndicatorError) else game for game in stack.games]

    def work(now: Tensor, before: Tensor, levels: Tensor, *delta: Tensor) -> list[Tensor]:
        x, known = Traced.over(now), dict[tuple[int, bool], list[Row]]()
        earlier = Traced.over(before)
        pairs = [
            None if game is None else _pair(game, x, earlier, own, known)
            for game, own in zip(games, torch.split(levels, stack.moments), strict=True)
        ]
        zero = now.new_zeros(now.shape[1], dtype=torch.float64)
        if phase != "sums":
            rows = [
                row
                for game, pair, at in zip(games, pairs, stack.rows, strict=True)
                for row in (
                    [zero] * (at.stop - at.start)
                    if game is None or pair is None
                    else [_difference(pair[0][k], pair[1][k], zero) for k in game.moved]
                )
            ]
            for out, row in zip(delta, rows, strict=True):
                out.copy_(row)
        return [] if phase == "delta" else [_sums(pairs, stack.moments, zero)]

    return work


def _pair(game: Game, x: State, before: State, levels: Tensor, known: dict[tuple[int, bool], list[Row]]) -> Pair:
    def rows(state: State) -> list[Row]:
        key = id(game.indicator), state is x
        if key not in known:
            known[key] = game.own(state)
        return known[key]

    if game.baseline == "preceding":
        return rows(x), rows(before)
    if needs_mean(game):
        return rows(x), [x.active * level for level in levels.unbind()]
    return rows(x), game.neutral(x, rows(x))


def _difference(own: Row, base: Row, zero: Tensor) -> Tensor:
    if own is None:
        return zero if base is None else -base.to(torch.float64)
    return own.to(torch.float64) if base is None else own.to(torch.float64) - base.to(torch.float64)


def _sums(pairs: Sequence[Pair | None], moments: Sequence[int], zero: Tensor) -> Tensor:
    nothing = zero.sum()
    known: dict[int, Tensor] = {id(None): nothing}
    found = [nothing]
    for pair, count in zip(pairs, moments, strict=True):
        for row in [None] * (2 * count) if pair is None else [*pair[0], *pair[1]]:
            if row is not None and id(row) not in known:
                known[id(row)] = row.to(torch.float64).sum()
            found.append(known[id(row)])
    return torch.stack(found)[1:]
