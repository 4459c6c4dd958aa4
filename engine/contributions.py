"""What agents contribute, chunk by chunk: an indicator's rows checked, and the game they make against a baseline.

A row is float64 or integers [n], or None where it is zero throughout. Whatever a user's function gives is held to its
shape here, and an agent that is not active contributes nothing whatever the function says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.columns import COLUMNS
from engine.derivatives import guarded
from engine.errors import IndicatorError
from engine.indicators import Everyone, Indicator, Rows, _Same
from engine.results import Baseline
from engine.state import State
from engine.sweep import Chunk

Row = Tensor | None

_EXACT = (torch.float64, torch.int32, torch.int64)


@dataclass(frozen=True, slots=True)
class Game:
    """One indicator against one baseline.

    `moved` are the moments in which the baseline may differ from what an agent contributes. `masked` says that the
    functions give silent agents something, which is then taken from them. `everyone` [K] is what each active agent
    contributes in a neutral baseline of that kind, and `swept` [K + 1] what was summed to know it: g, and how many are
    active.
    """

    indicator: Indicator
    baseline: Baseline
    moments: int
    moved: tuple[int, ...]
    masked: bool
    everyone: Tensor | None = None
    swept: Tensor | None = None

    def own(self, x: State) -> list[Row]:
        """The K rows of g over these agents."""
        given = guarded(self.indicator, "g", lambda: _listed(self.indicator.g(x)))
        return self._rows("g", given, x)

    def neutral(self, x: State, own: Sequence[Row]) -> list[Row]:
        """The K rows of the neutral baseline; a row that is the same object as in `own` does not differ from it."""
        if self.everyone is not None:
            return [None if level == 0 else x.active * level for level in self.everyone.tolist()]
        neutral = self.indicator.neutral
        assert neutral is not None
        assert not isinstance(neutral, Everyone)
        given = guarded(self.indicator, "the neutral baseline", lambda: _listed(neutral(x)))
        return self._rows("the neutral baseline", given, x, own)

    def _rows(self, what: str, given: list[object], x: State, own: Sequence[Row] | None = None) -> list[Row]:
        if len(given) != self.moments:
            raise IndicatorError(
                f"{what} of {self.indicator.name!r} gives {len(given)} rows where {self.moments} are due"
            )
        rows: list[Row] = []
        known: dict[int, Row] = {}
        for position, row in enumerate(given):
            if isinstance(row, _Same) and own is not None:
                rows.append(own[position])
                continue
            if id(row) not in known:
                known[id(row)] = self._row(what, row, x)
            rows.append(known[id(row)])
        return rows

    def _row(self, what: str, row: object, x: State) -> Row:
        if isinstance(row, int | float) or (isinstance(row, Tensor) and row.ndim == 0):
            return None if float(row) == 0 else x.active * float(row)
        if not isinstance(row, Tensor) or row.shape != x.columns.shape[1:]:
            kind = list(row.shape) if isinstance(row, Tensor) else type(row).__name__
            raise IndicatorError(
                f"{what} of {self.indicator.name!r} gives a row of {kind} for {x.n} agents; "
                "each row is one number per agent",
            )
        if self.masked:
            return row * x.active
        return row if row.dtype in _EXACT else row.to(torch.float64)


class RowsAt:
    """The rows over one chunk, each function called once for all games that want it."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self._own: dict[tuple[int, str], list[Row]] = {}

    def own(self, game: Game) -> list[Row]:
        """The K rows of g now."""
        return self._once(game, "now", self.chunk.now)

    def base(self, game: Game) -> list[Row]:
        """The K rows of the baseline."""
        if game.baseline == "neutral":
            return game.neutral(self.chunk.now, self.own(game))
        assert self.chunk.before is not None
        return self._once(game, "before", self.chunk.before)

    def _once(self, game: Game, when: str, x: State) -> list[Row]:
        key = id(game.indicator), when
        if key not in self._own:
            self._own[key] = game.own(x)
        return self._own[key]


def game(indicator: Indicator, baseline: Baseline, device: torch.device) -> Game:
    """Set up the game, by asking the indicator about one silent agent.

    Raises:
        IndicatorError: when it does not support the baseline, or its g cannot be evaluated.
    """
    if baseline not in indicator.baselines:
        raise IndicatorError(f"{indicator.name!r} has no {baseline} baseline; give a preceding state")
    silent = State(torch.zeros((len(COLUMNS), 1), dtype=torch.int32, device=device))
    given = guarded(indicator, "g", lambda: _listed(indicator.g(silent)))
    moments = len(given)
    if not moments:
        raise IndicatorError(f"g of {indicator.name!r} gives no rows; it must give one for each total that F takes")
    if indicator.moments and len(indicator.moments) != moments:
        raise IndicatorError(f"g of {indicator.name!r} gives {moments} rows and {len(indicator.moments)} are named")
    plain = Game(indicator, baseline, moments, tuple(range(moments)), masked=False)
    own = plain.own(silent)
    if baseline == "preceding" or needs_mean(plain):
        return replace(plain, masked=_gives(own))
    masked = replace(plain, masked=_gives([*own, *plain.neutral(silent, own)]))
    own = masked.own(silent)
    pairs = enumerate(zip(own, masked.neutral(silent, own), strict=True))
    return replace(masked, moved=tuple(k for k, (mine, other) in pairs if mine is not other))


def _gives(rows: Sequence[Row]) -> bool:
    """Whether any row is not zero."""
    return any(row is not None and bool((row != 0).any()) for row in rows)


def needs_mean(game: Game) -> bool:
    """Whether the baseline depends on the mean of g over active agents."""
    return game.baseline == "neutral" and isinstance(game.indicator.neutral, Everyone)


def with_mean(plain: Game, sums: Tensor) -> Game:
    """Fix what everyone contributes from Σg and the number of active agents, [K + 1]."""
    mean = sums[:-1] / sums[-1].clamp(min=1.0)
    neutral = plain.indicator.neutral
    assert isinstance(neutral, Everyone)
    given = guarded(plain.indicator, "the neutral baseline", lambda: list(neutral.contribution(mean)))
    if len(given) != plain.moments:
        raise IndicatorError(
            f"the neutral baseline of {plain.indicator.name!r} gives {len(given)} rows where {plain.moments} are due",
        )
    everyone = torch.tensor([float(level) for level in given], dtype=torch.float64)
    return replace(plain, everyone=everyone, swept=sums)


def _listed(rows: Rows) -> list[object]:
    return list(rows.unbind(0)) if isinstance(rows, Tensor) else list(rows)
