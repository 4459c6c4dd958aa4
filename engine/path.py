"""The path integral of Aumann and Shapley: λₖ = ∫₀¹ ∂ₖF(M⁰ + t(M¹ − M⁰)) dt, K scalar integrals on the CPU in float64.

Derivatives of F come from autodiff on K numbers. Many paths of one F (panels, baselines) share one evaluation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.derivatives import gradient, values
from engine.errors import IndicatorError
from engine.indicators import Indicator
from engine.quadrature import TOLERANCE, integrate_each

_TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True, slots=True)
class Lambda:
    """The weights of one path, [K], with their relative error, and F at its two ends.

    `exhausted` says that the integrals were given up for having been evaluated often enough.
    """

    weights: Tensor
    error: float
    value: float
    baseline_value: float
    exhausted: bool = False


def weights(indicator: Indicator, start: Tensor, end: Tensor, *, tolerance: float = TOLERANCE) -> list[Lambda]:
    """Integrate ∇F along the straight paths from each row of `start` to the same row of `end`, both [B, K].

    Raises:
        IndicatorError: when F cannot be evaluated or is not finite at an end or on a path.
    """
    paths, moments = start.shape
    ends = values(indicator, torch.cat((start, end)))

    magnitude = torch.maximum(ends[:paths].abs(), ends[paths:].abs())[:, None] / (start.abs() + end.abs()).clamp(
        min=_TINY
    )

    def along(t: Tensor, u: Tensor, which: Tensor) -> Tensor:
        totals = u[:, None, None] * start[which] + t[:, None, None] * end[which]
        return gradient(indicator, totals.reshape(-1, moments)).reshape(len(t), len(which), moments)

    integrals = integrate_each(along, magnitude, tolerance=tolerance)
    found = []
    for path, integral in enumerate(integrals):
        if not bool(torch.isfinite(integral.value).all()):
            raise IndicatorError(
                f"F of {indicator.name!r} has no finite derivative on the path from {start[path].tolist()}",
            )
        value, baseline = float(ends[paths + path]), float(ends[path])
        found.append(Lambda(integral.value, integral.relative_error, value, baseline, integral.exhausted))
    return found
