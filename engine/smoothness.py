"""Is F smooth between two totals? Where it jumps, or its derivative is not the derivative, no path integral is true."""

import numpy as np
import torch
from torch.func import grad, vmap

from engine.oracles import Game

STEPS, ORDER = 64, 24


def roughest(game: Game) -> tuple[float, float]:
    """Return the greatest |ΔF − ∫dF| over the steps of the path, relative to the greatest |F| met, and its t.

    The steps are finer towards both ends, where ratios of almost empty totals bend.
    """
    edges = (1 - torch.cos(torch.linspace(0, torch.pi, STEPS + 1, dtype=torch.float64))) / 2
    low, width = edges[:-1], edges.diff()
    points, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(ORDER))
    start, rise = game.start, game.delta.sum(0)
    levels = game.values(start + edges[:, None] * rise)
    nodes = start + (low[:, None] + width[:, None] * (points + 1) / 2)[..., None] * rise
    slopes = vmap(grad(game.f))(nodes.reshape(-1, len(start))) @ rise
    integrals = (slopes.reshape(STEPS, ORDER) * weights).sum(1) * width / 2
    gaps = (levels.diff() - integrals).abs()
    if not bool(torch.isfinite(gaps).all()):
        return float("inf"), float(low[~torch.isfinite(gaps)][0])
    worst = int(gaps.argmax())
    size = max(float(levels.abs().max()), torch.finfo(torch.float64).tiny)
    return float(gaps[worst]) / size, float(low[worst] + width[worst] / 2)
