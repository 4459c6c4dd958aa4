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


def gather(states: Sequence[State]) -> tuple[list[str], Columns, Columns, Ints]:
    """Return the agents active in either window, sorted, both windows as int32 [26, N], and whose each is, [N].

    An agent is active when one of its counts is positive. What is beyond int32 is cut to it: only the sum of
    valences over 200,000 posts of one agent in one window gets there.
    """
    active = [(state, _active(state)) for state in states]
    names = np.concatenate([state.slots.names[slots] for state, slots in active])
    chosen = [slots for _, slots in active]
    slots = np.concatenate(chosen)
    owners = np.repeat(np.arange(len(states)), [len(some) for some in chosen])
    if np.count_nonzero([len(some) for some in chosen]) > 1:
        # Each partition's own are in order, so this merges a few sorted runs.
        order = np.array(sorted(range(len(names)), key=names.tolist().__getitem__))
        names, slots, owners = names[order], slots[order], owners[order]
    windows = [np.empty((WIDTH, len(names)), np.int32) for _ in range(2)]
    for start in range(0, len(names), _BLOCK):
        block = slice(start, start + _BLOCK)
        _copy(states, slots[block], owners[block], [window[:, block] for window in windows])
    return names.tolist(), windows[0], windows[1], owners


def _active(state: State) -> Ints:
    """Return the slots of the active agents, by name."""
    slots = state.slots.by_name()
    counts = len(COUNTS)
    active = np.empty(len(slots), np.bool_)
    for start in range(0, len(slots), _BLOCK):
        some = slots[start : start + _BLOCK]
        either = state.current.take(some, axis=0) | state.preceding.take(some, axis=0)
        active[start : start + _BLOCK] = either[:, :counts].any(axis=1)
    return slots[active]


def _copy(states: Sequence[State], slots: Ints, owners: Ints, into: Sequence[Columns]) -> None:
    """Copy rows of int64 sums, of the current and the preceding window, to columns of int32."""
    rows = np.empty((2, len(slots), WIDTH), np.int64)
    for owner, state in enumerate(states):
        own = np.flatnonzero(owners == owner)
        if own.size:
            rows[0, own] = state.current.take(slots[own], axis=0)
            rows[1, own] = state.preceding.take(slots[own], axis=0)
    np.clip(rows, _INT32.min, _INT32.max, out=rows)
    current, preceding = into
    current[:], preceding[:] = rows[0].T, rows[1].T
