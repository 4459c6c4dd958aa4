"""An indicator is two short functions and a name: what each agent contributes, and a smooth function of the totals.

    Indicator("likes_per_post", g=lambda x: (x["likes"], x["posts"]), F=lambda m: torch.log1p(m[0] / (1 + m[1])))

`g` takes a State of any agents and returns K rows of their contributions, each float64 [n], a row depending on its own
agent only; `F` takes the K totals, float64 [K], and returns one number, written in torch so that autodiff sees it and
without branching on values (use `torch.where` or `ratio`). A third function may name the neutral baseline.

All that a package with an indicator of its own needs is imported from here: Indicator, Everyone, SAME, Rows and ratio.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.results import Baseline
from engine.state import State


class _Same:
    """The type of SAME."""

    def __repr__(self) -> str:
        return "SAME"


SAME = _Same()
"""In a neutral contribution: this moment is what the agent has anyway."""

Row = Tensor | float | _Same
Rows = Tensor | Sequence[Row]


@dataclass(frozen=True, slots=True)
class Everyone:
    """A neutral baseline in which every active agent contributes the same: a function of the mean of g over them."""

    contribution: Callable[[Tensor], Sequence[Tensor | float]]


@dataclass(frozen=True, slots=True)
class Indicator:
    """F(M) with M the sum over agents of g. See the module for what `g` and `F` must be.

    `neutral` gives the rows that each agent would contribute were the phenomenon absent; without it only the change
    from a preceding window is attributed. `moments` names the rows. `linear` names, for a moment that is a plain sum
    of columns, those columns: the attribution is then split by them. With `memory` (ρ) the indicator is the volatility
    over runs of F's change: h ← ρh + (1−ρ)e², and each agent's part alike.
    """

    name: str
    g: Callable[[State], Rows]
    F: Callable[[Tensor], Tensor]
    neutral: Callable[[State], Rows] | Everyone | None = None
    moments: tuple[str, ...] = ()
    linear: Mapping[str, Sequence[str]] = field(default_factory=dict)
    memory: float | None = None

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The baselines that it can be held against."""
        return ("preceding",) if self.neutral is None else ("neutral", "preceding")


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide, and give 0 where the denominator is 0, with derivatives that are finite there too."""
    empty = denominator == 0
    return torch.where(empty, 0.0, numerator / torch.where(empty, 1.0, denominator))
