"""The newest run, held in memory for the HTTP surface, the page and the live views.

A run's results are built whole, off the event loop, and swapped in by one assignment: a reader sees either the
run before or the new one, never parts of both. Free of torch.
"""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.runs.attributions import FACE, TOP_KEPT, Attributions

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

    def swap(self, results: Results, erased: Collection[str] = ()) -> None:
        """Make these the newest results. A rerun of a window takes the place of the record it repeats.

        Who was erased is no longer named among the top agents of the runs before.
        """
        if self._records and self._records[0]["id"] == results.record["id"]:
            self._records.popleft()
        if erased:
            gone = frozenset(erased)
            self._records = deque((_without(record, gone) for record in self._records), self._records.maxlen)
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


def _without(record: Mapping[str, Any], gone: frozenset[str]) -> Mapping[str, Any]:
    """Return a run's record without these agents among its top ones; the record itself where it names none of them."""
    indicators = {
        name: {
            baseline: {**measure, "top": [row for row in measure["top"] if row["agent"] not in gone]}
            for baseline, measure in measures.items()
        }
        for name, measures in record["indicators"].items()
    }
    return record if indicators == record["indicators"] else {**record, "indicators": indicators}
