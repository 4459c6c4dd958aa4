"""Generosity: the share of all acts that lift another's words, as an indicator for starlingd.

g says what each agent adds to two totals, F what the totals mean; the neutral agent does as much and lifts nobody.
"""

from torch import Tensor

from engine.indicators import SAME, Indicator, Rows, ratio
from engine.state import State


def lifting_and_acting(x: State) -> Rows:
    return x.total("reposts", "likes"), x.acts


def share(totals: Tensor) -> Tensor:
    return ratio(totals[0], totals[1])


GENEROSITY = Indicator(
    "generosity",
    g=lifting_and_acting,
    F=share,
    neutral=lambda _: (0.0, SAME),
    moments=("lifting", "acting"),
    linear={"lifting": ("reposts", "likes")},
)
