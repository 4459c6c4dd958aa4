"""What makes a file a table of agents: each check refuses with the file, the row or column, and the cause.

Rows are counted from 1, the header not among them.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from daemon.errors import TableError
from engine.columns import COLUMNS

AGENT = "agent"


def check_schema(path: Path, schema: pa.Schema) -> None:
    """Refuse a table without agents, with agents that are not strings, or with two columns of one name."""
    names = schema.names
    if AGENT not in names:
        raise TableError(f"{path} has no column {AGENT!r}; it has {', '.join(names[:30]) or 'none'}")
    for name in (AGENT, *COLUMNS):
        if names.count(name) > 1:
            raise TableError(f"{path} has {names.count(name)} columns named {name!r}; keep one")
    kind = schema.field(AGENT).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise TableError(f"{path}: column {AGENT!r} is {kind}, but the names of agents are strings")


def checked_agents(path: Path, column: pa.ChunkedArray) -> pa.LargeStringArray:
    """Return the names of the agents in one piece; refuse a null, an empty name and a name that stands twice."""
    names = column.cast(pa.large_string()).combine_chunks()
    if isinstance(names, pa.ChunkedArray):
        names = names.chunk(0)
    if names.null_count:
        raise TableError(f"{path}, row {_first(pc.is_null(names))}: {AGENT!r} is null; every row needs its agent")
    empty = pc.equal(pc.binary_length(names), 0)
    if pc.any(empty).as_py():
        raise TableError(f"{path}, row {_first(empty)}: {AGENT!r} is an empty string; every row needs its agent")
    encoded = names.dictionary_encode()
    if len(encoded.dictionary) < len(names):
        _refuse_repeated(path, encoded)
    return names


def _refuse_repeated(path: Path, encoded: pa.DictionaryArray) -> None:
    indices = encoded.indices.to_numpy()
    _, first = np.unique(indices, return_index=True)
    repeated = np.ones(len(indices), bool)
    repeated[first] = False
    again = int(np.flatnonzero(repeated)[0])
    before = int(np.flatnonzero(indices == indices[again])[0])
    name = encoded.dictionary[int(indices[again])].as_py()
    raise TableError(f"{path}, rows {before + 1} and {again + 1}: the agent {name!r} stands there twice; keep one row")


def checked_bounds(path: Path, name: str, column: pa.ChunkedArray) -> tuple[int, int]:
    """Refuse what is not a column of counts; return its least and its greatest value."""
    kind = column.type
    if pa.types.is_floating(kind):
        nan = pc.is_nan(column).combine_chunks().fill_null(False)  # noqa: FBT003 - pyarrow takes it by position
        if pc.any(nan).as_py():
            raise TableError(f"{path}, row {_first(nan)}: {name!r} is NaN; counts are integers")
    if not pa.types.is_integer(kind):
        raise TableError(f"{path}: column {name!r} is {kind}, but counts are integers; cast it before")
    if column.null_count:
        row = _first(pc.is_null(column))
        raise TableError(f"{path}, row {row}: {name!r} is null; write 0, or leave the whole column out")
    if not len(column):
        return 0, 0
    bounds = pc.min_max(column).as_py()
    low, high = bounds["min"], bounds["max"]
    if low < 0 and name != "valence":
        row = _first(pc.less(column, 0))
        value = column[row - 1].as_py()
        raise TableError(f"{path}, row {row}: {name!r} is {value}; a count cannot be negative (only valence can)")
    if high > np.iinfo(np.int64).max:
        row = _first(pc.equal(column, pa.scalar(high, kind)))
        raise TableError(f"{path}, row {row}: {name!r} is {high}, beyond 64-bit integers")
    return low, high


def _first(mask: pa.Array | pa.ChunkedArray) -> int:
    """Return the row, from 1, of the first true value."""
    return int(pc.index(mask, True).as_py()) + 1
