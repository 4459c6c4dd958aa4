"""A closed window, copied out of the running state: all that one attribution run reads."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consumers.sources import Gap
from engine.columns import INDEX, RECEIVED


@dataclass(slots=True, frozen=True)
class Coverage:
    """How much of an interval a continuous stream covered. `fraction` is in [0, 1]."""

    fraction: float
    gaps: tuple[Gap, ...] = ()


@dataclass(slots=True)
class Snapshot:
    """The current and the preceding window of every agent active in either.

    `current` and `preceding` are int32 [26, N], columns as in `engine.columns`, agents in the order of `agents`
    (sorted by name, so that a replay gives the same bytes). `preceding` is None until that window is covered.
    """

    lens: str
    start: int
    end: int
    agents: list[str]
    current: NDArray[np.int32]
    preceding: NDArray[np.int32] | None
    coverage: Coverage
    preceding_coverage: Coverage
    watermark: int
    erased: list[str] = field(default_factory=list)
    """Accounts deleted, taken down, suspended or deactivated since the snapshot before: each gets a tombstone."""
    partitions: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """The partition that each agent's events are in, [N]; of a snapshot made without it, 0."""

    def __post_init__(self) -> None:
        if not self.partitions.size:
            self.partitions = np.zeros(len(self.agents), np.int64)

    @property
    def received(self) -> NDArray[np.int64]:
        """What each agent received in the current window, [N]."""
        totals: NDArray[np.int64] = self.current[[INDEX[name] for name in RECEIVED]].sum(axis=0, dtype=np.int64)
        return totals
