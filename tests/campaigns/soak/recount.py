"""The recount of a soak's day, kept while its events are made. It shares no code with the windows."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SECOND = 1_000_000
BUCKET = 300 * SECOND
HOUR = 3600 * SECOND
START = 1_783_123_200 * SECOND
END = START + 24 * HOUR
SILENCE = (START + 13 * HOUR, START + 15 * HOUR + 6 * BUCKET)
"""Longer than two windows, so that all agents leave and come back."""

WINDOW, HOP = 12, 12
"""In buckets."""

KINDS = ("post", "reply", "quote", "repost", "like", "follow")
COLUMNS = (
    *("posts", "replies", "quotes", "reposts", "likes", "follows"),
    *("replies_in", "quotes_in", "reposts_in", "likes_in", "follows_in"),
    *("scored", "valence", "alarm"),
    *(f"phase_{number:02d}" for number in range(12)),
)
UNSCORED = -20_000
"""The tone of what has none; that of the others is their valence × 10⁴."""

_SCORED, _PHASE = COLUMNS.index("scored"), COLUMNS.index("phase_00")
Ints = NDArray[np.int64]


@dataclass
class Recount:
    """Every integer of the last window, and how many agents are in either window of each run."""

    agents: int
    events: int = 0
    repeats: int = 0
    deleted: int = 0
    runs: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.window = np.zeros((self.agents, len(COLUMNS)), np.int64)
        self._seen = np.zeros((self.agents, (END - START) // BUCKET + 1), np.bool_)
        self._due = START + HOP * BUCKET

    def add(self, agent: Ints, column: Ints, t: Ints, tone: Ints) -> None:
        """Count events: a column each, for acts a phase, for what is scored its tone."""
        self.events += len(agent)
        self._seen[agent, (t - START) // BUCKET] = True
        last = (t >= END - WINDOW * BUCKET) & (t < END)
        agent, column, t, tone = agent[last], column[last], t[last], tone[last]
        np.add.at(self.window, (agent, column), 1)
        acts = column < len(KINDS)
        np.add.at(self.window, (agent[acts], _PHASE + t[acts] // BUCKET % 12), 1)
        scored = tone != UNSCORED
        agent, tone = agent[scored], tone[scored]
        np.add.at(self.window, (agent, _SCORED), 1)
        np.add.at(self.window, (agent, _SCORED + 1), tone)
        np.add.at(self.window, (agent[tone <= -5_000], _SCORED + 2), 1)

    def close(self, upto: int) -> None:
        """Note who is in the windows that end by then; silent ones have no run, but for the first."""
        while self._due <= upto:
            end = (self._due - START) // BUCKET
            agents = int(self._seen[:, max(0, end - 2 * WINDOW) : end].any(axis=1).sum())
            if agents or self.runs[max(self.runs)]:
                self.runs[self._due] = agents
            self._due += HOP * BUCKET

    def save(self, path: str, keys: list[bytes]) -> None:
        """Write all of it down; `keys` are the agents' names."""
        active = np.flatnonzero(self.window.any(axis=1))
        np.savez(
            path,
            events=self.events,
            repeats=self.repeats,
            deleted=self.deleted,
            runs=np.array(sorted(self.runs.items())),
            agents=np.array([keys[agent] for agent in active]),
            window=self.window[active],
        )

    def delete(self, gone: Ints) -> None:
        """Forget accounts."""
        self.events += len(gone)
        self.deleted += len(gone)
        self.window[gone] = 0
        self._seen[gone] = False
