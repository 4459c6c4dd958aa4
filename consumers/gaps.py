"""Time that no continuous stream covered: kept while a window can touch it, measured for each run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from consumers.snapshot import Coverage
from consumers.sources import Gap

BEFORE_THE_STREAM = "before_the_stream"
"""The cause of the time before the first event that the log still holds."""

SILENCE = "silence"
"""The cause of time that only the wall clock closed: nothing came, and nobody has said yet why."""


def gap_record(src: str, gap: Gap, epoch: int = 0) -> dict[str, Any]:
    """Return the log record of a gap, as it stands in every partition of the events topic.

    `epoch` is the turn of the bridge that met it: to a bridge that slept, what its successor read is a gap.
    """
    record = {"v": 1, "kind": "gap", "src": src, "start": gap.start, "end": gap.end, "cause": gap.cause}
    return {**record, "epoch": epoch} if epoch else record


def read_gap(record: Mapping[str, Any]) -> Gap:
    """Read a gap's log record; raises KeyError, TypeError or ValueError where it is not one."""
    start, end, cause = record["start"], record["end"], record["cause"]
    if type(start) is not int or type(end) is not int or type(cause) is not str or end < start:
        raise ValueError("a gap has integer start and end, in this order, and a cause")
    return Gap(start, end, cause)


def uncovered(gaps: Iterable[Gap], start: int, end: int) -> int:
    """Return how many µs of [start, end) lie in at least one gap."""
    total, reached = 0, start
    for gap in sorted(gaps):
        first, last = max(gap.start, reached), min(gap.end, end)
        if last > first:
            total += last - first
            reached = last
    return total


@dataclass(slots=True)
class Gaps:
    """The gaps known now. The same gap arrives once for each partition and counts once."""

    known: set[Gap] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)
    microseconds: Counter[str] = field(default_factory=Counter)

    def add(self, gap: Gap) -> None:
        """Record a gap; one already known changes nothing."""
        if gap not in self.known and gap.end > gap.start:
            self.known.add(gap)
            self.seen[gap.cause] += 1
            self.microseconds[gap.cause] += gap.end - gap.start

    def forget(self, before: int) -> None:
        """Drop the gaps that ended by `before`: no later window touches them."""
        self.known = {gap for gap in self.known if gap.end > before}

    def coverage(self, start: int, end: int, extra: Iterable[Gap] = ()) -> Coverage:
        """Return how much of [start, end) was covered, with the gaps that touch it, earliest first."""
        touching = sorted(gap for gap in self.known.union(extra) if gap.start < end and gap.end > start)
        return Coverage(1.0 - uncovered(touching, start, end) / (end - start), tuple(touching))
