"""What a sweep takes from a chunk as a pure function of tables, for a compiler to make one loop over memory of it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.contributions import Game, Row, RowsAt, needs_mean
from engine.errors import IndicatorError
from engine.stack import Pair, Phase, Stack, row_sums
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

    def row_sum(self, row: Tensor) -> Tensor:
        """Sum a row in float64."""
        return row.to(torch.float64).sum()

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
    games = list(stack.games)

    def work(now: Tensor, before: Tensor, levels: Tensor, *delta: Tensor) -> list[Tensor]:
        x = Traced.over(now)
        rows = RowsAt(Chunk(0, x.n, x, Traced.over(before)))
        pairs = [
            game if isinstance(game, IndicatorError) else _pair(game, rows, own)
            for game, own in zip(games, torch.split(levels, stack.moments), strict=True)
        ]
        if phase != "sums":
            zero = now.new_zeros(x.n, dtype=torch.float64)
            for game, pair, at in zip(games, pairs, stack.rows, strict=True):
                if isinstance(game, IndicatorError) or isinstance(pair, IndicatorError):
                    moved = [zero] * len(delta[at])
                else:
                    moved = [_difference(pair[0][k], pair[1][k], zero) for k in game.moved]
                for out, row in zip(delta[at], moved, strict=True):
                    out.copy_(row)
        return [] if phase == "delta" else [row_sums(pairs, stack.moments, x)]

    return work


def _pair(game: Game, rows: RowsAt, levels: Tensor) -> Pair:
    if needs_mean(game):  # whose levels are known to each run only
        return rows.own(game), [rows.chunk.now.active * level for level in levels.unbind()]
    return rows.own(game), rows.base(game)


def _difference(own: Row, base: Row, zero: Tensor) -> Tensor:
    if own is None:
        return zero if base is None else -base.to(torch.float64)
    return own.to(torch.float64) if base is None else own.to(torch.float64) - base.to(torch.float64)
