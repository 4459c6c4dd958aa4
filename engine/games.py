"""The finite game that an attribution stands for, evaluated agent by agent and without haste, for the oracles."""

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.errors import IndicatorError
from engine.indicators import SAME, Everyone, Indicator, Row, Rows
from engine.oracles import Game
from engine.state import State


def game_of(indicator: Indicator, state: State, before: State | None) -> Game:
    """Return v(S) = F of what those in S contribute now and the others in the baseline; `before` None is neutral.

    Raises:
        IndicatorError: when the indicator has no neutral baseline, or its rows are not one number per agent.
    """
    own = own_rows(indicator, state)
    if before is not None:
        return Game(indicator.F, own, own_rows(indicator, before))
    neutral = indicator.neutral
    if neutral is None:
        raise IndicatorError(f"{indicator.name!r} has no neutral baseline; give a preceding state")
    if isinstance(neutral, Everyone):
        mean = own.sum(0) / state.active.sum().clamp(min=1)
        return Game(indicator.F, own, _stacked(neutral.contribution(mean), state, own))
    return Game(indicator.F, own, _stacked(neutral(state), state, own))


def own_rows(indicator: Indicator, state: State) -> Tensor:
    """Return g of every agent, float64 [N, K]."""
    return _stacked(indicator.g(state), state)


def _stacked(rows: Rows | Sequence[Tensor | float], state: State, own: Tensor | None = None) -> Tensor:
    columns = [_column(row, k, state, own) for k, row in enumerate(rows)]
    if own is not None and len(columns) != own.shape[1]:
        raise IndicatorError(f"the neutral baseline gives {len(columns)} rows and g gives {own.shape[1]}")
    return torch.stack(columns, dim=1) * state.active[:, None]


def _column(row: Row | Tensor | float, k: int, state: State, own: Tensor | None) -> Tensor:
    if row is SAME:
        if own is None:
            raise IndicatorError("g says SAME, which only a neutral baseline may")
        return own[:, k]
    column = torch.as_tensor(row, dtype=torch.float64)
    if column.ndim and column.shape != (state.n,):
        raise IndicatorError(f"row {k} has the shape {list(column.shape)} and there are {state.n} agents")
    return column.expand(state.n)
