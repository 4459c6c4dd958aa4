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


@dataclass(slots=True, frozen=True)
class Leaders:
    """Those of greatest |φ| of one finding, greatest first, ties by name, and Σ|φ| over all agents."""

    rows: list[tuple[str, float, int, int]]
    """Agent, φ, tier, visibility."""
    mass: float

    @classmethod
    def of_all(cls, parts: "Sequence[Leaders]") -> "Leaders":
        """Return the leaders among those of several parts."""
        rows = sorted((row for part in parts for row in part.rows), key=lambda row: (-abs(row[1]), row[0]))
        return cls(rows[:TOP_KEPT], sum(part.mass for part in parts))


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
    leaders: dict[Key, Leaders] = field(init=False)
    """Of these agents; of all ranks' once `Leaders.of_all` has replaced them."""

    def __post_init__(self) -> None:
        """Rank the agents by |φ|; ties go by name, so that equal runs give equal lists."""
        if not self.partitions.size:
            self.partitions = np.zeros(len(self.agents), np.int64)
        self.leaders = {key: self._leaders(phi) for key, phi in self.phi.items()}

    def _leaders(self, phi: NDArray[np.float64]) -> Leaders:
        rows = [
            (self.agents[row], float(phi[row]), int(self.tiers[row]), int(self.visibility[row]))
            for row in rank(phi, TOP_KEPT).tolist()
        ]
        return Leaders(rows, float(np.abs(phi).sum()))

    def top(self, indicator: str, baseline: str, limit: int = 10) -> list[dict[str, Any]] | None:
        """Return the agents of greatest |φ|, at most `TOP_KEPT`; None where this run has no such finding.

        `share` is |φ| / Σ|φ| over all agents, so that shares of carriers of either sign add up to one.
        """
        leaders = self.leaders.get((indicator, baseline))
        if leaders is None:
            return None
        mass = leaders.mass
        return [
            {
                "agent": agent,
                "phi": phi,
                "share": abs(phi) / mass if mass else 0.0,
                "tier": self.tier_names[tier],
                "visibility": visibility,
            }
            for agent, phi, tier, visibility in leaders.rows[: max(0, limit)]
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
    threshold, above = cut(size, limit)
    ties = np.flatnonzero(size == threshold)[: limit - above]
    return np.concatenate((np.flatnonzero(size > threshold), ties))


def cut(sizes: NDArray[np.float64], limit: int) -> tuple[float, int]:
    """Return the least of the `limit` greatest sizes, and how many are greater; all are where there are no more."""
    if limit <= 0:
        return np.inf, 0
    if limit >= sizes.size:
        return -1.0, sizes.size
    threshold = float(np.partition(sizes, sizes.size - limit)[sizes.size - limit])
    return threshold, int(np.count_nonzero(sizes > threshold))
