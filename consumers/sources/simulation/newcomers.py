"""Newcomers: accounts that sign up while one watches, and those of them that soon leave again."""

import numpy as np

from consumers.sources.simulation import calibration as cal
from consumers.sources.simulation.acts import STREAM_NEWCOMERS, Acts, Grid
from consumers.sources.simulation.identifiers import Integers, mix, unit
from consumers.sources.simulation.rows import Rows
from consumers.sources.simulation.targets import Targets

ACTIVE, DELETED, DEACTIVATED, TAKENDOWN, SUSPENDED = range(5)
STATUSES = (b"active", b"deleted", b"deactivated", b"takendown", b"suspended")
"""What an ACCOUNT row says, by its `mood`."""

_FIRST = 1 << 46
_MOST = 64
_OFFSET = 1 << 40
_FIRST_STEPS = np.array((cal.IDENTITY, cal.ACCOUNT, cal.OTHER, cal.FOLLOW, cal.FOLLOW, cal.LIKE), dtype=np.int8)


def _count(grid: Grid, number: int, acts: int) -> int:
    """Return how many sign up in a chunk of so many acts, rounded up or down by chance."""
    chance = unit(np.array([number + _OFFSET]), grid.seed * 16 + 13)[0]
    return min(int(acts * cal.NEWCOMER_SHARE + chance), _MOST)


def _accounts(number: int, count: int) -> Integers:
    return _FIRST + (number + _OFFSET) * _MOST + np.arange(count, dtype=np.int64)


def arrivals(grid: Grid, number: int, acts: int, targets: Targets) -> Rows:
    """Return what a chunk's newcomers do: a handle, an account, a profile, a few follows, a like."""
    count = _count(grid, number, acts)
    steps = len(_FIRST_STEPS)
    generator = grid.generator(STREAM_NEWCOMERS, number)
    moments = grid.moments(number, cal.SLOT_NEWCOMERS, count * steps, generator)
    rows = Rows.blank(np.tile(_FIRST_STEPS, count), np.repeat(_accounts(number, count), steps), moments)
    targets.aim(rows)
    return rows


def departures(grid: Grid, number: int, recent: dict[int, Acts]) -> Rows:
    """Return the accounts that leave in a chunk: deleted or deactivated by their owners, or taken down."""
    born = [_accounts(before, _count(grid, before, len(acts.kind))) for before, acts in recent.items()]
    lag = [np.full(len(accounts), number - before) for before, accounts in zip(recent, born, strict=True)]
    accounts, age = np.concatenate(born), np.concatenate(lag)
    leaves = unit(accounts, grid.seed * 16 + 14) < cal.LEAVING_SHARE
    stay = mix(accounts, grid.seed * 16 + 15)
    accounts = accounts[leaves & (age == 1 + (stay % np.uint64(cal.UNDO_CHUNKS)).astype(np.int64))]
    opening = grid.opening(number + 1) - (len(accounts) + 1) * cal.SLOTS
    moments = opening + np.arange(len(accounts), dtype=np.int64) * cal.SLOTS + cal.SLOT_DEPARTURES
    rows = Rows.blank(np.full(len(accounts), cal.ACCOUNT, dtype=np.int8), accounts, moments)
    rows.mood[:] = 1 + (mix(accounts, grid.seed * 16 + 16) % np.uint64(len(STATUSES) - 1)).astype(np.int8)
    return rows
