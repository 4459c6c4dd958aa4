# ruff: noqa: INP001 - one module, installed on its own
"""Curiosity: how much of what people post answers somebody else.

Two short functions and a name. `contributions` is what each agent adds to two totals, replies and all posts; `share`
is what is watched, a smooth function of the totals. The third, optional, says what each agent would add if nobody
answered anybody; with it today's level is attributed too, and not only its change.
"""

from collections.abc import Sequence

import torch

from engine.indicators import SAME, Indicator, Row, ratio
from engine.state import State


def contributions(x: State) -> Sequence[Row]:
    """Give each agent's replies, and all that it posted."""
    return x["replies"], x.total("posts", "replies", "quotes")


def share(m: torch.Tensor) -> torch.Tensor:
    """Divide the total of replies by that of posts; 0 where nobody posted."""
    return ratio(m[0], m[1])


def without_replies(_: State) -> Sequence[Row]:
    """Leave each agent's posts as they are, none of them a reply."""
    return 0.0, SAME


CURIOSITY = Indicator("curiosity", g=contributions, F=share, neutral=without_replies, moments=("replies", "posting"))
