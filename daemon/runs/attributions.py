"""Every agent's φ in one run, as columns, and the ranking that all who show a run share. Free of torch."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Key = tuple[str, str]
"""An indicator and a baseline (`neutral` or `preceding`)."""

FACE = {"neutral": "level", "preceding": "change"}
"""What a baseline's attributions are called in records: who carries the level, who moved it."""

TOP_KEPT = 1000
"""Top agents are ranked once per run, this many per indicator and baseline."""


@dataclass(slots=True)
class Attributions:
    """One run's φ. `agents` is sorted by name; every array has one row for each agent, in that order.

    `phi` holds float64 [N], only for findings that are published as good. `tiers` [N] indexes `tier_names`;
    `visibility` [N] is what the tiers were made from. Ranked when made, so make it off the event loop.
    """

    agents: Sequence[str]
    phi: Mapping[Key, NDArray[np.float64]]
    tiers: NDArray[np.uint8]
    visibility: NDArray[np.int64]
    tier_names: tuple[str, ...] = ("head", "middle", "tail")
    partitions: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """The partition that each agent's events are in, [N]; of a table made without it, 0."""
    ranked: dict[Key, NDArray[np.int64]] = field(init=False)
    mass: dict[Key, float] = field(init=False)

    def __post_init__(self) -> None:
        """Rank the agents by |φ|; ties go by name, so that equal runs give equal lists."""
        if not self.partitions.size:
            self.partitions = np.zeros(len(self.agents), np.int64)
        self.ranked = {key: rank(phi, TOP_KEPT) for key, phi in self.phi.items()}
        self.mass = {key: float(np.abs(phi).sum()) for key, phi in self.phi.items()}

    def top(self, indicator: str, baseline: str, limit: int = 10) -> list[dict[str, Any]] | None:
        """Return the agents of greatest |φ|, at most `TOP_KEPT`; None where this run has no such finding.

        `share` is |φ| / Σ|φ| over all agents, so that shares of carriers of either sign add up to one.
        """
        key = (indicator, baseline)
        if key not in self.phi:
            return None
        phi, mass = self.phi[key], self.mass[key]
        return [
            {
                "agent": self.agents[row],
                "phi": float(phi[row]),
                "share": abs(float(phi[row])) / mass if mass else 0.0,
                "tier": self.tier_names[self.tiers[row]],
                "visibility": int(self.visibility[row]),
            }
            for row in self.ranked[key][: max(0, limit)].tolist()
        ]

    def agent(self, name: str) -> dict[str, Any] | None:
        """Return what this run says of one agent: tier, visibility, and φ as `level` and `change`; None if unknown."""
        row = bisect_left(self.agents, name)
        if row == len(self.agents) or self.agents[row] != name:
            return None
        document: dict[str, Any] = {
            "agent": name,
            "tier": self.tier_names[self.tiers[row]],
            "visibility": int(self.visibility[row]),
            "level": {},
        }
        for (indicator, baseline), phi in self.phi.items():
            document.setdefault(FACE[baseline], {})[indicator] = float(phi[row])
        return document


def rank(phi: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Return the rows of the `limit` greatest |φ|, greatest first, ties by row."""
    rows = np.sort(greatest(phi, limit))
    return rows[np.argsort(-np.abs(phi[rows]), kind="stable")]


def greatest(phi: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Return the rows of the `limit` greatest |φ| in no order; of ties for the last place, the first by row."""
    size = np.abs(phi)
    if limit >= size.size:
        return np.arange(size.size)
    if limit <= 0:
        return np.arange(0)
    threshold = np.partition(size, size.size - limit)[size.size - limit]
    above = np.flatnonzero(size > threshold)
    return np.concatenate((above, np.flatnonzero(size == threshold)[: limit - above.size]))
