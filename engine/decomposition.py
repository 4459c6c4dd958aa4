"""Where F's rise came from: Σφ = Σ λₖ ΔMₖ split by the columns that gₖ is a plain sum of, or else by moment.

By behaviour or bucket of time, as the columns are. The split is Aumann and Shapley's whichever method gave phi, and
sums to the same rise.
"""

import torch

from engine.columns import INDEX
from engine.indicators import Indicator
from engine.results import Attribution
from engine.state import State


def parts(indicator: Indicator, found: Attribution, current: State, preceding: State | None) -> dict[str, float]:
    """Split the rise, by name of column or moment; a moment that the baseline does not change is left out."""
    split: dict[str, float] = {}
    names = indicator.moments or tuple(f"moment_{index}" for index in range(len(found.weights)))
    for name, weight, start, end in zip(names, found.weights, found.start, found.end, strict=True):
        columns = indicator.linear.get(name, ())
        if preceding is not None and columns:
            for column in columns:
                rise = _total(current, column) - _total(preceding, column)
                split[column] = split.get(column, 0.0) + weight * rise
        elif preceding is None and start == 0 and columns:
            for column in columns:
                split[column] = split.get(column, 0.0) + weight * _total(current, column)
        elif start != end:
            split[name] = split.get(name, 0.0) + weight * (end - start)
    return split


def _total(state: State, column: str) -> int:
    return int(state.columns[INDEX[column]].sum(dtype=torch.int64))
