"""The six indicators of the design's table (§6)."""

import torch
from torch import Tensor

from engine.columns import ACTS, PHASES, VALENCE_SCALE
from engine.indicators import SAME, Everyone, Indicator, Rows, ratio
from engine.state import State

_POSTING = ("posts", "replies", "quotes")
_SPREAD = ("reposts_in", "quotes_in")


def _opinion(x: State) -> Rows:
    scored = x["scored"]
    weight = (x.received + 1.0).mul_(scored.clamp(max=1.0))
    mean_valence = (x["valence"] / scored.clamp(min=1.0)).mul_(1 / VALENCE_SCALE)
    first = weight * mean_valence
    return weight, first, mean_valence.mul_(first)


def _weighted_variance(m: Tensor) -> Tensor:
    return ratio(m[2], m[0]) - ratio(m[1], m[0]) ** 2


def _log_ratio(m: Tensor) -> Tensor:
    return torch.log1p(ratio(m[0], m[1]))


def _even_phases(x: State) -> Rows:
    return (x.total(*PHASES) / len(PHASES),) * len(PHASES)


POLARIZATION = Indicator(
    "polarization",
    g=_opinion,
    F=_weighted_variance,
    neutral=lambda _: (SAME, 0.0, 0.0),
    moments=("weight", "valence", "valence_squared"),
)
ATTENTION = Indicator(
    "attention",
    g=lambda x: (x.received, x.received * x.received),
    F=lambda m: ratio(m[1], m[0] ** 2),
    neutral=Everyone(lambda mean: (mean[0], mean[0] ** 2)),
    moments=("received", "received_squared"),
)
CASCADE = Indicator(
    "cascade",
    g=lambda x: (x.total(*_SPREAD), x.total(*_POSTING)),
    F=_log_ratio,
    neutral=lambda _: (0.0, SAME),
    moments=("spread", "posting"),
    linear={"spread": _SPREAD, "posting": _POSTING},
)
ACTIVITY = Indicator(
    "activity",
    g=lambda x: (x.acts, x.active),
    F=_log_ratio,
    neutral=lambda _: (0.0, SAME),
    moments=("acts", "active"),
    linear={"acts": ACTS},
)
SYNCHRONY = Indicator(
    "synchrony",
    g=lambda x: x.phases,
    F=lambda m: len(PHASES) * ratio((m**2).sum(), m.sum() ** 2),
    neutral=_even_phases,
    moments=PHASES,
    linear={phase: (phase,) for phase in PHASES},
)
PANIC = Indicator(
    "panic",
    g=lambda x: (x["alarm"], x["scored"]),
    F=lambda m: ratio(m[0], m[1]),
    moments=("alarm", "scored"),
    linear={"alarm": ("alarm",), "scored": ("scored",)},
    memory=0.94,
)
BUILT_IN = (POLARIZATION, ATTENTION, CASCADE, ACTIVITY, SYNCHRONY, PANIC)
