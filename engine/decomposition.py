"""Where F's rise came from: Σφ = Σ λₖ ΔMₖ split by the columns that gₖ is a plain sum of, or else by moment.

By behaviour or bucket of time, as the columns are. The split is Aumann and Shapley's whichever method gave phi, and
sums to the same rise.
"""

from engine.columns import INDEX
from engine.indicators import Indicator
from engine.meeting import Meeting
from engine.results import Attribution
from engine.state import State


class ColumnTotals:
    """Exact sums of columns over all agents of all ranks, each read once."""

    def __init__(self, current: State, preceding: State | None, meeting: Meeting) -> None:
        self._states = current, preceding
        self._meeting = meeting
        self._known: dict[tuple[int, str], int] = {}

    def now(self, column: str) -> int:
        """Σ of a column in the current window."""
        return self._total(0, column)

    def rise(self, column: str) -> int:
        """How much Σ of a column rose from the preceding window."""
        return self._total(0, column) - self._total(1, column)

    def _total(self, which: int, column: str) -> int:
        state = self._states[which]
        assert state is not None
        if (which, column) not in self._known:
            own = state.row_sum(state.columns[INDEX[column]])
            self._known[which, column] = int(self._meeting.total(own.cpu()))
        return self._known[which, column]


def parts(indicator: Indicator, found: Attribution, columns: ColumnTotals) -> dict[str, float]:
    """Split the rise, by name of column or moment; a moment that the baseline does not change is left out."""
    split: dict[str, float] = {}
    names = indicator.moments or tuple(f"moment_{index}" for index in range(len(found.weights)))
    for name, weight, start, end in zip(names, found.weights, found.start, found.end, strict=True):
        summed = indicator.linear.get(name, ())
        if len(summed) > 1 and found.baseline == "preceding":
            for column in summed:
                split[column] = split.get(column, 0.0) + weight * columns.rise(column)
        elif len(summed) > 1 and start == 0:
            for column in summed:
                split[column] = split.get(column, 0.0) + weight * columns.now(column)
        elif start != end:
            label = summed[0] if len(summed) == 1 else name
            split[label] = split.get(label, 0.0) + weight * (end - start)
    return split
