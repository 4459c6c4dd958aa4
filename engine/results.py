"""What the engine answers: values, attributions and how far they can be trusted. Plain data on the CPU."""

from dataclasses import dataclass, field
from typing import Literal

import torch

Method = Literal["aumann-shapley", "oceanic"]
Baseline = Literal["neutral", "preceding"]
Tier = Literal["head", "middle", "tail"]
TIERS: tuple[Tier, ...] = ("head", "middle", "tail")


@dataclass(slots=True)
class Attribution:
    """One indicator against one baseline. `phi` is float64 [N], in the order of the state's agents.

    `residual` is |sum_phi - (value - baseline_value)| relative to max(|value|, |baseline_value|, tiny);
    `lambda_error` the relative change of lambda between the last two quadrature orders; `ok` says whether both
    are within tolerance. `finite_gap` is |oceanic - aumann-shapley| / |oceanic|, None where it was not asked for.
    """

    indicator: str
    baseline: Baseline
    method: Method
    value: float
    baseline_value: float
    phi: torch.Tensor
    sum_phi: float
    residual: float
    lambda_error: float
    ok: bool
    reason: str | None = None
    """Why not `ok`."""
    finite_gap: float | None = None
    weights: tuple[float, ...] = ()
    """Aumann and Shapley's lambda, one for each moment."""
    start: tuple[float, ...] = ()
    """The moments' totals at the baseline."""
    end: tuple[float, ...] = ()
    """The moments' totals now."""


@dataclass(slots=True)
class Concentration:
    """Who carries an attribution: shares of sum |phi| by tier, 1/sum (|phi|/sum|phi|)^2, signed masses.

    `lorenz` is the cumulative share of |phi| at 101 evenly spaced quantiles of visibility, least visible first.
    """

    tier_shares: dict[Tier, float]
    effective_contributors: float
    positive_mass: float
    negative_mass: float
    lorenz: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Panel:
    """The attribution recomputed inside a panel with its own totals, held against the full-scale one.

    `factor` is the best rescaling c of the panel's phi to the full-scale phi of the same agents, `residual`
    is ||phi_full - c phi_panel|| / ||phi_full||; `tier_shares` is how the panel sees the tiers.
    """

    kind: Literal["visible", "uniform"]
    size: int
    factor: float
    residual: float
    tier_shares: dict[Tier, float]


@dataclass(slots=True)
class Finding:
    """All that one run says of one indicator against one baseline; when it failed, only why."""

    indicator: str
    baseline: Baseline
    attribution: Attribution | None = None
    concentration: Concentration | None = None
    panels: list[Panel] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)
    """Where F's rise came from: by column (behaviour, or bucket of time) where g is a plain sum of columns, else by
    moment. Sums to the attribution's `sum_phi`; empty where the method or the indicator does not split."""
    rescalable: bool | None = None
    """True where the indicator has one moment, so that any panel's phi is exactly proportional to the full one."""
    failure: str | None = None
