"""Integrals over [0, 1] of vector functions in float64, adaptive to 1e-12 and robust where an end is near-singular.

Each interval is integrated by Gauss-Legendre at two orders; their difference is its error. One interval first, then
bisection; where a few rounds do not do, a mesh that halves towards both ends, down to 2**-60 (an almost empty baseline
makes integrands like 1/(ε + t)), bisected further where it must be. Nodes near 1 are placed by their distance from 1,
so that no digit is lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

TOLERANCE = 1e-12
ORDERS = 12, 20
FEW_ORDERS = 8, 12
"""Where only some digits are asked for."""
_HALVINGS = 60
_FEW_HALVINGS = 7
_PATIENCE = 5
_BISECTIONS = 30
_MOST_INTERVALS = 2048
MOST_NODES = 1 << 18
"""Nodes at which an integrand is evaluated at most: one that jumps would be bisected for ever."""
_FLOOR = 64 * torch.finfo(torch.float64).eps
"""Two orders cannot agree better than rounding lets them."""

Orders = tuple[int, int]
"""Of the two Gauss-Legendre rules, the coarse one first."""
Integrand = Callable[[Tensor, Tensor], Tensor]
"""Takes nodes t and u = 1 - t, each [T], and returns values [T, D]."""


@dataclass(frozen=True, slots=True)
class Integral:
    """`value` [D]; `error` [D], the two orders' difference summed over intervals; `size` [D], ∫|f| above rounding.

    `exhausted` says that it was given up because it had been evaluated often enough.
    """

    value: Tensor
    error: Tensor
    size: Tensor
    exhausted: bool = False

    @property
    def relative_error(self) -> float:
        """The worst of error / size, 0 where the integrand is 0, infinite where it is not finite."""
        if not bool(torch.isfinite(self.value).all()):
            return float("inf")
        return float((self.error / self.size.clamp(min=torch.finfo(torch.float64).tiny)).max())


@dataclass(frozen=True, slots=True)
class _Mesh:
    """Intervals [low, high], measured from 0, or from 1 where `far`."""

    low: Tensor
    high: Tensor
    far: Tensor

    def nodes(self, orders: Orders) -> tuple[Tensor, Tensor]:
        """The nodes of both orders, as t and 1 - t, each [intervals, nodes]."""
        points, _ = _rule(orders)
        near = self.low[:, None] + (self.high - self.low)[:, None] * points
        far = self.far[:, None]
        return torch.where(far, 1 - near, near), torch.where(far, near, 1 - near)

    def halves(self, chosen: Tensor) -> "_Mesh":
        """The two halves of each interval that is chosen."""
        low, high, far = self.low[chosen], self.high[chosen], self.far[chosen]
        middle = (low + high) / 2
        return _Mesh(torch.cat((low, middle)), torch.cat((middle, high)), torch.cat((far, far)))


@cache
def _rule(orders: Orders) -> tuple[Tensor, Tensor]:
    """The points of both orders on [0, 1], coarse first, and the two rows of weights over them."""
    coarse, fine = (np.polynomial.legendre.leggauss(order) for order in orders)
    points = torch.from_numpy((np.concatenate((coarse[0], fine[0])) + 1) / 2)
    weights = torch.zeros((2, sum(orders)), dtype=torch.float64)
    weights[0, : orders[0]] = torch.from_numpy(coarse[1] / 2)
    weights[1, orders[0] :] = torch.from_numpy(fine[1] / 2)
    return points, weights


def _whole() -> _Mesh:
    return _Mesh(
        torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.bool)
    )


def _graded(halvings: int) -> _Mesh:
    edges = torch.cat((torch.zeros(1, dtype=torch.float64), 2.0 ** torch.arange(-halvings, 0, dtype=torch.float64)))
    far = torch.zeros(2 * halvings, dtype=torch.bool)
    far[halvings:] = True
    return _Mesh(edges[:-1].repeat(2), edges[1:].repeat(2), far)


def _measure(f: Integrand, mesh: _Mesh, orders: Orders = ORDERS) -> tuple[Tensor, Tensor, Tensor]:
    """Value, error and size of each interval, each [intervals, D]."""
    t, u = mesh.nodes(orders)
    values = f(t.reshape(-1), u.reshape(-1)).reshape(*t.shape, -1)
    _, weights = _rule(orders)
    width = (mesh.high - mesh.low)[:, None]
    coarse, fine = torch.einsum("on,ind->oid", weights, values) * width
    size = torch.einsum("n,ind->id", weights[1], values.abs()) * width
    return fine, (fine - coarse).abs(), size


def integrate(
    f: Integrand,
    *,
    magnitude: Tensor,
    tolerance: float = TOLERANCE,
    most: int = MOST_NODES,
    orders: Orders = ORDERS,
) -> Integral:
    """Integrate `f` over [0, 1] until each component's error is within `tolerance` of ∫|f|, or no more can be done.

    `magnitude` [D] is the size of the terms that each component is made of: digits of f below its rounding are noise.
    Never raises for an integrand that does not converge: `relative_error` says so. None is evaluated at more than
    `most` nodes.
    """
    tolerance = max(tolerance, _FLOOR)
    least = magnitude * (_FLOOR / tolerance)
    value, error, size = _measure(f, _whole(), orders)
    if _enough(error, size, least, tolerance) or not bool(torch.isfinite(value).all()):
        return Integral(value[0], error[0], torch.maximum(size[0], least))
    return _refined(f, least, tolerance, most, orders)


def integrate_each(
    f: Callable[[Tensor, Tensor, Tensor], Tensor], magnitude: Tensor, *, tolerance: float = TOLERANCE
) -> list[Integral]:
    """Integrate B functions of D components; `f` takes t, u and which functions, [b], and returns [T, b, D].

    They share one interval, then a mesh that halves towards both ends some times, then one that does so to the last;
    those whom none serves are refined one by one. `magnitude` is [B, D]. See `integrate`.
    """
    tolerance = max(tolerance, _FLOOR)
    least = magnitude * (_FLOOR / tolerance)
    found: dict[int, Integral] = {}
    for mesh in (_whole(), _graded(_FEW_HALVINGS), _graded(_HALVINGS)):
        left = [one for one in range(len(magnitude)) if one not in found]
        if left:
            found |= _served(f, mesh, left, least, tolerance)
    return [
        found[one] if one in found else _refined(_one(f, torch.tensor([one])), least[one], tolerance)
        for one in range(len(magnitude))
    ]


def _served(
    f: Callable[[Tensor, Tensor, Tensor], Tensor], mesh: _Mesh, which: list[int], least: Tensor, tolerance: float
) -> dict[int, Integral]:
    """Integrate these functions over one mesh, and give those that it serves or that are not finite."""
    chosen = torch.tensor(which)
    value, error, size = (
        each.sum(0).reshape(len(which), -1) for each in _measure(lambda t, u: f(t, u, chosen).flatten(1), mesh)
    )
    size = torch.maximum(size, least[chosen])
    good = (error <= tolerance * size).all(1) | ~torch.isfinite(value).all(1)
    return {
        one: Integral(value[place], error[place], size[place])
        for place, (one, served) in enumerate(zip(which, good.tolist(), strict=True))
        if served
    }


def _one(f: Callable[[Tensor, Tensor, Tensor], Tensor], which: Tensor) -> Integrand:
    return lambda t, u: f(t, u, which).flatten(1)


def _refined(
    f: Integrand, least: Tensor, tolerance: float, most: int = MOST_NODES, orders: Orders = ORDERS
) -> Integral:
    """Bisect; after some rounds start anew from the graded mesh, for an end is near-singular then."""
    mesh = _whole()
    value, error, size = _measure(f, mesh, orders)
    spent, exhausted = 1, False
    for step in range(_BISECTIONS):
        if step == _PATIENCE and spent + 2 * _HALVINGS <= most // sum(orders):
            mesh = _graded(_HALVINGS)
            spent += len(mesh.low)
            value, error, size = _measure(f, mesh, orders)
        if _enough(error, size, least, tolerance) or len(mesh.low) > _MOST_INTERVALS:
            break
        share = tolerance * torch.maximum(size.sum(0), least) / len(mesh.low)
        chosen = (error > torch.maximum(share, _FLOOR * size)).any(1)
        if not bool(chosen.any()):
            break
        halves = mesh.halves(chosen)
        spent += len(halves.low)
        exhausted = spent > most // sum(orders)
        if exhausted:
            break
        fresh = _measure(f, halves, orders)
        keep = ~chosen
        value, error, size = (torch.cat((old[keep], new)) for old, new in zip((value, error, size), fresh, strict=True))
        mesh = _Mesh(
            torch.cat((mesh.low[keep], halves.low)),
            torch.cat((mesh.high[keep], halves.high)),
            torch.cat((mesh.far[keep], halves.far)),
        )
    return Integral(value.sum(0), error.sum(0), torch.maximum(size.sum(0), least), exhausted)


def _enough(error: Tensor, size: Tensor, least: Tensor, tolerance: float) -> bool:
    return bool((error.sum(0) <= tolerance * torch.maximum(size.sum(0), least)).all())
