"""F and its derivatives at many totals at once, by autodiff on K numbers.

Plain reverse mode over a vmapped F: `torch.func.grad` would load the compiler, which takes seconds.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.func import vmap

from engine.errors import IndicatorError
from engine.indicators import Indicator

T = TypeVar("T")


def values(indicator: Indicator, totals: Tensor) -> Tensor:
    """F at each row of `totals` [B, K], float64 [B].

    Raises:
        IndicatorError: when F raises, or does not give one finite number.
    """
    found = guarded(indicator, "F", lambda: vmap(indicator.F)(totals))
    if not isinstance(found, Tensor) or found.shape != totals.shape[:1]:
        given = list(found.shape[1:]) if isinstance(found, Tensor) else type(found).__name__
        raise IndicatorError(f"F of {indicator.name!r} gives {given} for the totals; it must give one number")
    if not bool(torch.isfinite(found.detach()).all()):
        broken = int((~torch.isfinite(found)).nonzero()[0])
        raise IndicatorError(
            f"F of {indicator.name!r} is {float(found[broken])} at the totals {totals[broken].tolist()}"
        )
    return found


def gradient(indicator: Indicator, totals: Tensor) -> Tensor:
    """∇F at each row of `totals` [B, K], float64 [B, K]."""
    at = totals.detach().requires_grad_()
    with torch.enable_grad():
        return _grad(indicator, values(indicator, at), at).detach()


def corrected(indicator: Indicator, totals: Tensor, spread: Tensor, factor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give q = F + `factor` ⟨∇²F, `spread`⟩ [B], its gradient [B, K] and ∇²F [B, K, K] at each row of `totals`."""
    at = totals.detach().requires_grad_()
    with torch.enable_grad():
        level = values(indicator, at)
        slope = _grad(indicator, level, at)
        curve = _jacobian(indicator, slope, at)
        q = level + factor * (curve * spread).sum((1, 2))
        rise = _grad(indicator, q, at)
    return q.detach(), rise.detach(), curve.detach()


def guarded(indicator: Indicator, what: str, evaluate: Callable[[], T]) -> T:
    """Turn whatever a user's function raises into one sentence that names the indicator."""
    try:
        return evaluate()
    except IndicatorError:
        raise
    except Exception as error:  # a user's function may raise anything
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise IndicatorError(f"{what} of {indicator.name!r} failed: {reason}") from error


def _jacobian(indicator: Indicator, slope: Tensor, at: Tensor) -> Tensor:
    """Differentiate each column of `slope` [B, K], row by row, in one batch: [B, K, K]."""
    if not slope.requires_grad:
        return torch.zeros((*at.shape, at.shape[1]), dtype=at.dtype)
    columns = torch.eye(at.shape[1], dtype=at.dtype)[:, None].expand(-1, *at.shape)

    def evaluate() -> Tensor:
        (curve,) = torch.autograd.grad(
            slope, at, columns, create_graph=True, allow_unused=True, materialize_grads=True, is_grads_batched=True
        )
        return curve.transpose(0, 1)

    return guarded(indicator, "the derivative of F", evaluate)


def _grad(indicator: Indicator, level: Tensor, at: Tensor) -> Tensor:
    """Differentiate row by row: rows of `level` depend each on its own row of `at`. Zero where nothing depends."""
    if not level.requires_grad:
        return torch.zeros_like(at)

    def evaluate() -> Tensor:
        (slope,) = torch.autograd.grad(level.sum(), at, create_graph=True, allow_unused=True, materialize_grads=True)
        return slope

    return guarded(indicator, "the derivative of F", evaluate)
