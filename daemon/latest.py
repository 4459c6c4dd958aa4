"""The newest run, held in memory for the HTTP surface, the page and the live views.

A run's results are built whole, off the event loop, and swapped in by one assignment: a reader sees either the
run before or the new one, never parts of both. Free of torch.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daemon.attributions import FACE, TOP_KEPT, Attributions

__all__ = ["FACE", "TOP_KEPT", "Latest", "Results"]


@dataclass(slots=True, frozen=True)
class Results:
    """All of one run: its record as published, and every agent's φ."""

    record: Mapping[str, Any]
    attributions: Attributions


class Latest:
    """The newest results and the records of the runs before them, newest first. Empty until the first run."""

    def __init__(self, keep: int = 240) -> None:
        """Hold the records of at most `keep` runs."""
        self.results: Results | None = None
        self._records: deque[Mapping[str, Any]] = deque(maxlen=keep)

    def swap(self, results: Results) -> None:
        """Make these the newest results. A rerun of a window takes the place of the record it repeats."""
        if self._records and self._records[0]["id"] == results.record["id"]:
            self._records.popleft()
        self._records.appendleft(results.record)
        self.results = results

    @property
    def run(self) -> Mapping[str, Any] | None:
        """The newest run record, as published."""
        return self.results.record if self.results else None

    def runs(self, limit: int = 10) -> list[Mapping[str, Any]]:
        """Return the newest run records, newest first."""
        return list(self._records)[: max(0, limit)]

    def top(self, indicator: str, baseline: str, limit: int = 10) -> list[dict[str, Any]] | None:
        """Return the top agents of the newest run; None where it has no such finding or there is no run."""
        return self.results.attributions.top(indicator, baseline, limit) if self.results else None

    def agent(self, name: str) -> dict[str, Any] | None:
        """Return the newest attributions of one agent, in the form of their record; None if it has none."""
        if self.results is None or (found := self.results.attributions.agent(name)) is None:
            return None
        return {"v": 1, "run": self.results.record["id"], "lens": self.results.record["lens"], **found}
