"""Synthetic populations with the network's heavy tails, for tests and benchmarks: seeded, and consistent as real ones.

Mix and tails after the network's own figures: most agents like and little else, half of all agents receive nothing,
what is received falls off with a tail exponent near 2.15, few speak and fewer in a language that is scored.
"""

import numpy as np
from numpy.typing import NDArray

from engine.columns import ACTS, COLUMNS, INDEX, PHASES, RECEIVED, VALENCE_SCALE

ACT_MEANS = {"posts": 0.25, "replies": 0.2, "quotes": 0.02, "reposts": 0.5, "likes": 3.0, "follows": 0.4}
RECEIVED_SHARES = {"replies_in": 0.06, "quotes_in": 0.01, "reposts_in": 0.13, "likes_in": 0.72, "follows_in": 0.08}
TAIL = 1.15
"""Pareto exponent of the survival function: densities then fall with 2.15."""


def population(n: int, seed: int) -> NDArray[np.int32]:
    """Return int32 [26, n]: phases sum to the acts, scored ≤ posts + replies + quotes, |valence| ≤ 10⁴·scored."""
    rng = np.random.default_rng(seed)
    columns = np.zeros((len(COLUMNS), n), np.int32)
    zeal = np.minimum(rng.pareto(1.6, n), 300.0)
    for name in ACTS:
        columns[INDEX[name]] = rng.poisson(ACT_MEANS[name] * zeal)
    _receive(columns, rng)
    _score(columns, rng)
    _spread(columns, rng)
    return columns


def names(n: int) -> list[str]:
    """Return n agents' names, sorted."""
    return [f"did:plc:{index:024d}" for index in range(n)]


def _receive(columns: NDArray[np.int32], rng: np.random.Generator) -> None:
    n = columns.shape[1]
    fame = rng.pareto(TAIL, n) * (rng.random(n) < 0.5)
    attention = np.minimum(4.0 * fame, 2e6)
    for name in RECEIVED:
        columns[INDEX[name]] = rng.poisson(RECEIVED_SHARES[name] * attention)


def _score(columns: NDArray[np.int32], rng: np.random.Generator) -> None:
    spoken = columns[[INDEX[name] for name in ("posts", "replies", "quotes")]].sum(0)
    scored = rng.binomial(spoken, 0.6)
    leaning = np.clip(rng.normal(0.1, 0.35, len(scored)) + rng.choice([-0.3, 0.3], len(scored)), -1, 1)
    columns[INDEX["scored"]] = scored
    columns[INDEX["valence"]] = np.rint(leaning * VALENCE_SCALE * scored)
    columns[INDEX["alarm"]] = rng.binomial(scored, np.clip(0.15 - 0.4 * leaning, 0.01, 0.6))


def _spread(columns: NDArray[np.int32], rng: np.random.Generator) -> None:
    """Put each act in one of the twelve phases, a tenth of the agents all of theirs in one burst."""
    left = columns[[INDEX[name] for name in ACTS]].sum(0)
    burst = np.where(rng.random(len(left)) < 0.1, rng.choice([3, 7], len(left)), -1)
    for phase, name in enumerate(PHASES):
        chance = np.where(burst == phase, 1.0, np.where(burst >= 0, 0.0, 1 / (len(PHASES) - phase)))
        columns[INDEX[name]] = rng.binomial(left, chance)
        left = left - columns[INDEX[name]]


def crowd(n: int, seed: int) -> NDArray[np.int32]:
    """Return int32 [26, n] of agents who all act and are all seen, with tails as heavy: games of few players.

    In a handful of agents drawn from `population` most totals are empty; here every indicator has something to say.
    """
    rng = np.random.default_rng(seed)
    columns = np.zeros((len(COLUMNS), n), np.int32)
    for name, least in zip(ACTS, (1, 0, 0, 0, 1, 0), strict=True):
        columns[INDEX[name]] = least + rng.pareto(TAIL, n) * 3
    for name in RECEIVED:
        columns[INDEX[name]] = rng.pareto(TAIL, n) * 20 * RECEIVED_SHARES[name] + rng.poisson(1, n)
    _score(columns, rng)
    columns[INDEX["scored"]] = np.maximum(columns[INDEX["scored"]], 1)
    _spread(columns, rng)
    return columns
