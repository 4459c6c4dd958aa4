"""Random heavy-tailed crowds for verification: few agents, all of them active, each total far from empty."""

import torch
from torch import Tensor

from engine.columns import ACTS, PHASES, VALENCE_SCALE
from engine.state import State

ACTING_TAIL, RECEIVING_TAIL = 1.6, 1.15
"""Exponents of the survival functions, as on the network: what agents do and receive has a mean, and no variance."""
RECEIVED_SHARE = {"replies_in": 1.2, "quotes_in": 0.4, "reposts_in": 2.6, "likes_in": 14.0, "follows_in": 1.6}


def crowd(n: int, seed: int) -> State:
    """Return `n` agents who all post, act, are seen and are scored; the same for the same seed on every machine."""
    random = torch.Generator().manual_seed(seed)
    columns = {name: (2 * _pareto(n, ACTING_TAIL, random)).floor() for name in ACTS}
    columns["posts"] += 1
    columns |= {
        name: (share * _pareto(n, RECEIVING_TAIL, random) + 2 * _uniform(n, random)).floor()
        for name, share in RECEIVED_SHARE.items()
    }
    spoken = columns["posts"] + columns["replies"] + columns["quotes"]
    columns["scored"] = 1 + ((spoken - 1) * _uniform(n, random)).floor()
    leaning = 2 * _uniform(n, random) - 1
    columns["valence"] = (columns["scored"] * VALENCE_SCALE * leaning).round()
    columns["alarm"] = (columns["scored"] * (1 - leaning) / 2 * _uniform(n, random)).round()
    left = torch.stack([columns[name] for name in ACTS]).sum(0)
    for phase, name in enumerate(PHASES):
        share = _uniform(n, random) * 2 / (len(PHASES) - phase)
        columns[name] = left if phase == len(PHASES) - 1 else (left * share.clamp(max=1)).round()
        left = left - columns[name]
    return State.from_columns(columns, n)


def _uniform(n: int, random: torch.Generator) -> Tensor:
    return torch.rand(n, generator=random, dtype=torch.float64)


def _pareto(n: int, tail: float, random: torch.Generator) -> Tensor:
    """Lomax: heavy-tailed from 0, at most 10⁶."""
    return (_uniform(n, random).clamp(min=1e-12) ** (-1 / tail) - 1).clamp(max=1e6)
