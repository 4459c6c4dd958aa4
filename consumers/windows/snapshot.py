"""Copies the closed windows of all partitions into one table, agents by name: the same bytes for the same log."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consumers.windows.delta import WIDTH, Ints
from consumers.windows.state import State
from engine.columns import COUNTS

_INT32 = np.iinfo(np.int32)
_BLOCK = 8192
"""Agents copied at once: their rows stay in cache while they are turned into columns."""

Columns = NDArray[np.int32]


def gather(states: Sequence[State]) -> tuple[list[str], Columns, Columns]:
    """Return the agents active in either window, sorted, with both windows as int32 [26, N].

    An agent is active when one of its counts is positive. What is beyond int32 is cut to it: only the sum of
    valences over 200,000 posts of one agent in one window gets there.
    """
    chosen = [_active(state) for state in states]
    names = [name for state, slots in zip(states, chosen, strict=True) for name in state.slots.names[slots].tolist()]
    current = np.empty((WIDTH, len(names)), np.int32)
    preceding = np.empty((WIDTH, len(names)), np.int32)
    places = _places(names, [len(slots) for slots in chosen])
    start = 0
    for state, slots in zip(states, chosen, strict=True):
        where = places[start : start + len(slots)]
        _copy(state.current, slots, current, where)
        _copy(state.preceding, slots, preceding, where)
        start += len(slots)
    if len(states) > 1:
        names.sort()
    return names, current, preceding


def _active(state: State) -> Ints:
    """Return the slots of the active agents, by name."""
    slots = state.slots.by_name()
    counts = len(COUNTS)
    active = np.empty(len(slots), np.bool_)
    for start in range(0, len(slots), _BLOCK):
        some = slots[start : start + _BLOCK]
        active[start : start + _BLOCK] = state.current[some, :counts].any(axis=1) | state.preceding[some, :counts].any(
            axis=1
        )
    return slots[active]


def _places(names: list[str], sizes: Sequence[int]) -> Ints:
    """Return where each agent stands once all are sorted; each partition's own are already in order."""
    if sum(1 for size in sizes if size) <= 1:
        return np.arange(len(names))
    order = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
    places = np.empty(len(names), np.int64)
    places[order] = np.arange(len(names))
    return places


def _copy(sums: Ints, slots: Ints, into: Columns, where: Ints) -> None:
    """Copy rows of int64 sums to columns of int32."""
    for start in range(0, len(slots), _BLOCK):
        rows = sums[slots[start : start + _BLOCK]]
        np.clip(rows, _INT32.min, _INT32.max, out=rows)
        into[:, where[start : start + _BLOCK]] = rows.T
