"""Games over the same agents as one matrix, so that a few products of matrices serve them all.

It has a row of Δg for each moment in which a game's baseline may differ from what agents contribute.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor

from engine.contributions import Game, Row, RowsAt
from engine.errors import IndicatorError, attempt
from engine.state import State
from engine.sweep import Chunk

T = TypeVar("T")

LANES = 512
"""The matrix's columns are a multiple of this: those beyond the agents are zero."""
_TOGETHER = 16
"""Rows of a block of several games at most: products of all rows with all grow with the square."""

Pair = tuple[list[Row], list[Row]]
"""A game's rows of g and of its baseline."""

Phase = Literal["sums", "delta and sums", "delta"]
"""What is wanted of a chunk, in the order in which it is given."""


class Compiler(Protocol):
    """Who may have a kernel that reads each column once for all games."""

    def run(self, stack: "Stack", phase: Phase, chunk: Chunk) -> list[Tensor] | None:
        """Give what is wanted of a chunk, None where there is no kernel for it."""


@dataclass(frozen=True, slots=True)
class Block:
    """Games next to each other and their rows: what is multiplied together."""

    games: slice
    rows: slice


class Stack:
    """Games, of which some may have failed: a failure stands in `games` instead of the game from then on.

    `rows` are each game's in the matrix and `moments` how many its g gives, none of one that had failed before.
    """

    def __init__(self, games: Sequence[Game | IndicatorError], compiler: Compiler | None = None) -> None:
        self.games, self._compiler = list(games), compiler
        playing = [None if isinstance(game, IndicatorError) else game for game in games]
        self.names = ["" if game is None else game.indicator.name for game in playing]
        self.moments = [0 if game is None else game.moments for game in playing]
        ends = [0, *accumulate(0 if game is None else len(game.moved) for game in playing)]
        self.rows = [slice(*each) for each in pairwise(ends)]
        self.height = ends[-1]
        self.blocks = _blocks(self.rows)

    def each(self, work: Callable[[Game], T]) -> list[T | IndicatorError]:
        """Do it for every game that has not failed."""
        found = [attempt(work, game) for game in self.games]
        pairs = zip(found, self.games, strict=True)
        self.games = [one if isinstance(one, IndicatorError) else game for one, game in pairs]
        return found

    def unfailed(self, found: Sequence[T]) -> list[T | IndicatorError]:
        """Give what was found of each game, or its failure."""
        return [game if isinstance(game, IndicatorError) else one for game, one in zip(self.games, found, strict=True)]

    def sums(self, chunk: Chunk) -> Tensor:
        """Σg(x) and Σg(b) over a chunk, game by game, [2ΣK]; 0 of one that failed."""
        return self._over(chunk, "sums")[0]

    def delta_and_sums(self, chunk: Chunk) -> tuple[Tensor, Tensor]:
        """Both."""
        delta, sums = self._over(chunk, "delta and sums")
        return delta, sums

    def delta(self, chunk: Chunk) -> Tensor:
        """Δg over a chunk, float64 [height, n up to a multiple of LANES], for this call's user to write to."""
        return self._over(chunk, "delta")[0]

    def _over(self, chunk: Chunk, phase: Phase) -> list[Tensor]:
        found = None if self._compiler is None else self._compiler.run(self, phase, chunk)
        if found is not None:
            return found
        rows, x = RowsAt(chunk), chunk.now
        pairs = self.each(lambda game: (rows.own(game), rows.base(game)))
        delta = [] if phase == "sums" else [self._differences(pairs, chunk)]
        return delta if phase == "delta" else [*delta, row_sums(pairs, self.moments, x)]

    def _differences(self, pairs: Sequence[Pair | IndicatorError], chunk: Chunk) -> Tensor:
        x = chunk.now
        matrix = x.buffer("delta", self.height, -(-x.n // LANES) * LANES)
        matrix[:, x.n :] = 0.0
        for game, rows, pair in zip(self.games, self.rows, pairs, strict=True):
            if isinstance(game, IndicatorError) or isinstance(pair, IndicatorError):
                matrix[rows] = 0.0
            else:
                for row, moment in zip(matrix[rows, : x.n], game.moved, strict=True):
                    _difference(row, pair[0][moment], pair[1][moment], chunk)
        return matrix


def row_sums(pairs: Sequence[Pair | IndicatorError], moments: Sequence[int], x: State) -> Tensor:
    """Sum each game's rows over the agents of `x`, now and at the baseline, [2ΣK]; each distinct row once."""
    zero = torch.zeros((), dtype=torch.float64, device=x.device)
    known: dict[int, Tensor] = {id(None): zero}
    found = []
    for pair, count in zip(pairs, moments, strict=True):
        rows = [None] * (2 * count) if isinstance(pair, IndicatorError) else [*pair[0], *pair[1]]
        for row in rows:
            if row is not None and id(row) not in known:
                known[id(row)] = x.row_sum(row)
            found.append(known[id(row)])
    return torch.stack([zero, *found])[1:]


def dots(one: Tensor, other: Tensor) -> Tensor:
    """The scalar product of each row with the same row of the other, [rows]."""
    found = [torch.dot(*rows) for rows in zip(one, other, strict=True)]
    return torch.stack(found) if found else one.new_zeros(0)


def _difference(out: Tensor, own: Row, base: Row, chunk: Chunk) -> None:
    if own is not None and base is not None and _are_counts(own, base, chunk):
        # Counts are not negative, so that their difference fits; integers are half as wide.
        whole = chunk.now.buffer("whole", 1).view(torch.int32)[0, : len(out)]
        out.copy_(torch.sub(own, base, out=whole))
        return
    if own is None:
        out.zero_()
    else:
        out.copy_(own)
    if base is not None:
        out.sub_(base)


def _are_counts(own: Tensor, base: Tensor, chunk: Chunk) -> bool:
    """Whether both are columns of counts, now and before."""
    return chunk.before is not None and chunk.now.is_count(own) and chunk.before.is_count(base)


def _blocks(rows: Sequence[slice]) -> list[Block]:
    """Join games from the first on while their block has few rows."""
    blocks: list[Block] = []
    begin = 0
    for place, each in enumerate(rows):
        if place > begin and each.stop - rows[begin].start > _TOGETHER:
            blocks.append(Block(slice(begin, place), slice(rows[begin].start, each.start)))
            begin = place
    if rows:
        blocks.append(Block(slice(begin, len(rows)), slice(rows[begin].start, rows[-1].stop)))
    return blocks
