"""A table of agents: the integer columns of `engine.columns` as one tensor, on any device.

Promises that a State, once made, holds whole numbers only, that none but `valence` is negative, and that an agent
whose eleven counts are all zero is zero throughout, for one that is not active contributes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.columns import ACTS, AFFECT, COLUMNS, COUNTS, INDEX, PHASES, RECEIVED
from engine.errors import StateError
from engine.memory import room

_INT32 = torch.iinfo(torch.int32)
_COUNTS = slice(INDEX[COUNTS[0]], INDEX[COUNTS[-1]] + 1)
_ACTS = slice(INDEX[ACTS[0]], INDEX[ACTS[-1]] + 1)
_RECEIVED = slice(INDEX[RECEIVED[0]], INDEX[RECEIVED[-1]] + 1)
_PHASES = slice(INDEX[PHASES[0]], INDEX[PHASES[-1]] + 1)
_BESIDE = slice(INDEX[AFFECT[0]], len(COLUMNS))


Scratch = dict[str, Tensor]
"""Buffers by name of column, reused from chunk to chunk by one thread."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Agents in a fixed order. `columns` is int32 (int64 where values need it) [26, N], each column contiguous.

    Indexing by a column's name gives it as float64 [N], exact for counts below 2**53, so that products of counts
    never wrap; the integers themselves are rows of `columns`. What is derived is computed once per State.
    """

    columns: Tensor
    _peaks: tuple[int, ...] = field(default=(), init=False, repr=False)
    _derived: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)
    _scratch: Scratch | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        columns, peaks = _checked(self.columns)
        stray = columns[_BESIDE].any(0) & ~columns[_COUNTS].any(0) if columns.shape[1] else None
        if stray is not None and bool(stray.any()):
            columns = columns.masked_fill(stray, 0)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "_peaks", peaks)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Tensor | NDArray[Any]], n: int) -> Self:
        """Build a state of `n` agents from columns by name; those absent are zeros.

        Raises:
            StateError: for an unknown name, a length other than `n`, a value that is not whole, a negative count.
        """
        unknown = sorted(set(columns) - set(INDEX))
        if unknown:
            raise StateError(
                f"column {unknown[0]!r} is not one of an agent's state; the names are {', '.join(COLUMNS)}"
            )
        whole = {name: _whole(name, values, n) for name, values in columns.items()}
        wide = any(_is_wide(values) for values in whole.values())
        device = next(iter(whole.values())).device if whole else torch.device("cpu")
        table = torch.zeros((len(COLUMNS), n), dtype=torch.int64 if wide else torch.int32, device=device)
        for name, values in whole.items():
            table[INDEX[name]] = values
        return cls(table)

    @property
    def n(self) -> int:
        """How many agents there are."""
        return self.columns.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the columns live."""
        return self.columns.device

    def to(self, device: torch.device | str) -> "State":
        """Give the same agents on another device."""
        return self if self.device == torch.device(device) else _trusted(self.columns.to(device), self._peaks)

    def part(self, start: int, stop: int, scratch: Scratch | None = None) -> "State":
        """Give the agents from `start` to `stop` as a view of the same memory.

        With `scratch`, what is derived lives in its buffers, until the next part that is given them.
        """
        return _trusted(self.columns[:, start:stop], self._peaks, scratch)

    def pick(self, agents: Tensor) -> "State":
        """Give a copy of the agents at these indices (int64), in their order."""
        # Not index_select, which uses one core.
        return _trusted(self.columns.gather(1, agents.expand(len(COLUMNS), -1)), self._peaks)

    def __getitem__(self, name: str) -> Tensor:
        return self._once(name, lambda: self._float(name, self.columns[INDEX[name]]))

    def __len__(self) -> int:
        return self.n

    def total(self, *names: str) -> Tensor:
        """Sum the named columns agent by agent, float64 [N]."""
        key = "+".join(names)
        return self._once(key, lambda: self._float(key, self._sum([INDEX[name] for name in names])))

    @property
    def acts(self) -> Tensor:
        """What the agent did, a in the design: posts + replies + quotes + reposts + likes + follows, float64 [N]."""
        return self.total(*ACTS)

    @property
    def received(self) -> Tensor:
        """What others did to the agent, r in the design: the five `_in` columns, float64 [N]."""
        return self.total(*RECEIVED)

    @property
    def active(self) -> Tensor:
        """Whether any of the eleven counts is positive, as 1.0 or 0.0, float64 [N]."""
        return self._once("active", lambda: (self.acts + self.received).clamp_(max=1.0))

    @property
    def phases(self) -> Tensor:
        """The twelve phases, as they are: integers [12, N]."""
        return self.columns[_PHASES]

    def row_sum(self, row: Tensor) -> Tensor:
        """Sum a row over these agents, exactly if it holds integers, as a float64 scalar."""
        if row.is_floating_point():
            return row.sum()
        narrow = self._peak(row) * self.n <= _INT32.max
        return row.sum(dtype=torch.int32 if narrow else torch.int64).to(torch.float64)

    def is_count(self, row: Tensor) -> bool:
        """Whether it is one of these agents' int32 columns of whole numbers that are not negative."""
        return row.dtype == torch.int32 and self._peak(row) <= _INT32.max

    def _peak(self, row: Tensor) -> int:
        """No value of the row is above this: known where the row is one of the counts, else not."""
        if not self.n:
            return 0
        offset = row.data_ptr() - self.columns.data_ptr()
        column = offset // (self.columns.stride(0) * self.columns.element_size())
        known = row.dtype == torch.int32 and 0 <= column < len(COLUMNS) and column != INDEX["valence"]
        return self._peaks[column] if known else _INT32.max + 1

    def buffer(self, name: str, rows: int, columns: int | None = None) -> Tensor:
        """Give room for float64 [rows, N], or so many columns, of the scratch where there is one; it holds anything."""
        columns = self.n if columns is None else columns
        held = None if self._scratch is None else self._scratch.get(name)
        if held is None or held.shape[0] < rows or held.shape[1] < columns:
            held = room((rows, columns), self.device)
            if self._scratch is not None:
                self._scratch[name] = held
        return held[:rows, :columns]

    def _sum(self, positions: Sequence[int]) -> Tensor:
        """Sum columns in int32 where that cannot overflow, which is by far the fastest, else in int64."""
        narrow = self.columns.dtype == torch.int32 and sum(self._peaks[each] for each in positions) <= _INT32.max
        kind = torch.int32 if narrow else torch.int64
        if positions[-1] - positions[0] == len(positions) - 1:
            return self.columns[positions[0] : positions[-1] + 1].sum(0, dtype=kind)
        total = self.columns[positions[0]].to(kind, copy=True)
        for each in positions[1:]:
            total += self.columns[each]
        return total

    def _float(self, name: str, whole: Tensor) -> Tensor:
        if self._scratch is None:
            return whole.to(torch.float64)
        held = self._scratch.get(name)
        if held is None or held.shape[-1] < self.n:
            held = torch.empty(whole.shape, dtype=torch.float64, device=self.device)
            self._scratch[name] = held
        return held[..., : self.n].copy_(whole)

    def _once(self, name: str, derive: Callable[[], Tensor]) -> Tensor:
        if name not in self._derived:
            self._derived[name] = derive()
        return self._derived[name]


def _trusted(columns: Tensor, peaks: tuple[int, ...], scratch: Scratch | None = None) -> State:
    """Wrap columns that come out of a State and so need no second check."""
    state = object.__new__(State)
    object.__setattr__(state, "columns", columns)
    object.__setattr__(state, "_peaks", peaks)
    object.__setattr__(state, "_derived", {})
    object.__setattr__(state, "_scratch", scratch)
    return state


def _checked(columns: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Give the columns contiguous, and the greatest value of each."""
    if not isinstance(columns, Tensor) or columns.dtype not in {torch.int32, torch.int64}:
        kind = columns.dtype if isinstance(columns, Tensor) else type(columns).__name__
        raise StateError(f"a state's columns are a tensor of int32 or int64, and these are {kind}; convert them first")
    if columns.ndim != 2 or columns.shape[0] != len(COLUMNS):  # noqa: PLR2004 - a table has two dimensions
        raise StateError(
            f"a state has the shape [{len(COLUMNS)}, N], and this has {list(columns.shape)}; see engine.columns"
        )
    if columns.shape[1] and columns.stride(1) != 1:
        columns = columns.contiguous()
    if not columns.shape[1]:
        return columns, (0,) * len(COLUMNS)
    low, high = torch.aminmax(columns, dim=1)
    for name, least, column in zip(COLUMNS, low.tolist(), columns, strict=True):
        if name != "valence" and least < 0:
            agent = int(column.argmin())
            raise StateError(f"{name} of agent {agent} is {least}; counts are never negative, so mend the table")
    return columns, tuple(high.tolist())


def _whole(name: str, values: Tensor | NDArray[Any] | Sequence[int], n: int) -> Tensor:
    column = values if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))
    if column.shape != (n,):
        raise StateError(f"column {name!r} has the shape {list(column.shape)} and the state has {n} agents; give [{n}]")
    if column.dtype.is_floating_point:
        broken = ~torch.isfinite(column) | (column != column.round())
        if bool(broken.any()):
            agent = int(broken.nonzero()[0])
            raise StateError(f"{name} of agent {agent} is {float(column[agent])}; every column holds whole numbers")
        return column.to(torch.int64)
    if column.dtype.is_complex:
        raise StateError(f"column {name!r} holds complex numbers; every column holds whole numbers")
    return column.to(torch.int64) if column.dtype not in {torch.int32, torch.int64} else column


def _is_wide(column: Tensor) -> bool:
    if column.dtype == torch.int32 or not column.numel():
        return False
    low, high = torch.aminmax(column)
    return int(low) < _INT32.min or int(high) > _INT32.max
