"""Phenomena planted in a simulation: whose names they are, and how many of them a run has found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from daemon.runs.latest import Latest
from daemon.runs.records import RunRecord


@dataclass(slots=True, frozen=True)
class Planted:
    """A planted phenomenon, from `start` to `end` µs of network time; `indicator` must find its `names`."""

    phenomenon: str
    indicator: str
    start: int
    end: int
    names: frozenset[str]


@dataclass(slots=True)
class Hunt:
    """What the runs so far have found of what was planted."""

    planted: Sequence[Planted] = ()
    best: dict[Planted, int] = field(default_factory=dict)

    @property
    def marks(self) -> Mapping[str, str]:
        """The phenomenon of each culprit."""
        return {name: plant.phenomenon for plant in self.planted for name in plant.names}

    def look(self, latest: Latest) -> None:
        """Count, for each phenomenon of k culprits, how many are among the k greatest |φ| of the newest run.

        Level and change are looked at apart and the better counts: a storm that lasts is in the level, one that
        has just begun is in the change.
        """
        for plant in self.planted:
            found = 0
            for baseline in ("neutral", "preceding"):
                top = latest.top(plant.indicator, baseline, len(plant.names)) or ()
                found = max(found, sum(row["agent"] in plant.names for row in top))
            self.best[plant] = max(self.best.get(plant, 0), found)

    def lines(self, record: RunRecord) -> list[str]:
        """Say of each phenomenon that has begun how many of its culprits were found at best."""
        return [self._line(plant, record.end) for plant in self.planted if plant.start < record.end]

    def _line(self, plant: Planted, now: int) -> str:
        count = len(plant.names)
        state = "under way" if now < plant.end else "over"
        found = self.best.get(plant, 0)
        return (
            f"planted {plant.phenomenon}, {state}: {found} of {count} culprits among the top {count} "
            f"of {plant.indicator}"
        )
