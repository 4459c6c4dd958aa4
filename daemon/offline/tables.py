"""Tables of agents in and out: Parquet files, checked whole before a number of theirs is used.

A state table has a column `agent` (string) and any of the integer columns of `engine.columns`; those it lacks are
zeros, those it has beyond them are left unread and named in `StateTable.ignored`. What cannot be read is a
`TableError`. What is written appears under its name only when it is complete. Rows are counted from 1, the header not
among them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from daemon.errors import TableError
from daemon.offline.outputs import written
from daemon.offline.table_checks import AGENT, check_schema, checked_agents, checked_bounds
from engine.columns import COLUMNS, INDEX

INT32 = np.iinfo(np.int32)

Columns = NDArray[np.int32] | NDArray[np.int64]


@dataclass(slots=True)
class StateTable:
    """Agents and their state: names (large strings, none empty, none twice) and integers [26, N].

    The integers are int32, or int64 where one of them is beyond int32.
    """

    agents: pa.LargeStringArray
    columns: Columns
    ignored: tuple[str, ...] = ()


def read_state(path: Path) -> StateTable:
    """Read a state table, refusing nulls, floats, negative counts, an agent that stands twice, a missing column."""
    with _opened(path) as file:
        names = file.schema_arrow.names
        check_schema(path, file.schema_arrow)
        known = [name for name in names if name in INDEX]
        table = file.read(columns=[AGENT, *known])
    agents = checked_agents(path, table.column(AGENT))
    columns: Columns = np.zeros((len(COLUMNS), len(agents)), np.int32)
    for name in known:
        column = table.column(name)
        low, high = checked_bounds(path, name, column)
        if columns.dtype == np.int32 and (low < INT32.min or high > INT32.max):
            columns = columns.astype(np.int64)
        _fill(columns[INDEX[name]], column)
    return StateTable(agents, columns, tuple(name for name in names if name != AGENT and name not in INDEX))


def align(state: StateTable, baseline: StateTable) -> tuple[pa.LargeStringArray, Columns, Columns]:
    """Put two tables on the same agents: those of `state` in its order, then those that only `baseline` has.

    Returns the names [M] and both tables' integers [26, M]; who is in only one of the two is all zeros in the other.
    """
    if state.agents.equals(baseline.agents):
        return state.agents, state.columns, baseline.columns
    position = pc.index_in(baseline.agents, value_set=state.agents)
    new = pc.is_null(position)
    agents = pa.concat_arrays([state.agents, baseline.agents.filter(new)])
    is_new = new.to_numpy(zero_copy_only=False)
    where = pc.fill_null(position, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    where[is_new] = np.arange(len(state.agents), len(agents))
    current = np.zeros((len(COLUMNS), len(agents)), state.columns.dtype)
    current[:, : len(state.agents)] = state.columns
    before = np.zeros((len(COLUMNS), len(agents)), baseline.columns.dtype)
    for source, target in zip(baseline.columns, before, strict=True):
        target[where] = source
    return agents, current, before


def write_state(path: Path, agents: Sequence[str], columns: Columns) -> None:
    """Write a state table: `agents` [N] and their integers [26, N], in the order of `engine.columns.COLUMNS`."""
    values = {name: pa.array(row) for name, row in zip(COLUMNS, columns, strict=True)}
    _write(path, pa.table({AGENT: pa.array(agents, pa.string()), **values}))


def write_attribution(path: Path, agents: pa.LargeStringArray, phi: NDArray[np.float64]) -> None:
    """Write `agent` and `phi` (float64), one row for each agent, in the order given."""
    _write(path, pa.table({AGENT: agents, "phi": pa.array(phi)}))


def _write(path: Path, table: pa.Table) -> None:
    with written(path) as stream:
        pq.write_table(table, stream, compression="zstd", use_dictionary=False)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        if path.is_dir():
            raise TableError(f"{path} is a directory; name one Parquet file")
        if path.stat().st_size == 0:
            raise TableError(f"{path} is empty (0 bytes); a Parquet file with a column {AGENT!r} is needed")
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError as error:
        raise TableError(f"{path} does not exist") from error
    except pa.ArrowException as error:
        raise TableError(f"{path} is not a readable Parquet file: {_cause(error)}") from error
    except OSError as error:
        raise TableError(f"{path} cannot be read: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()).rstrip(".")


def _fill(target: NDArray[np.int32] | NDArray[np.int64], column: pa.ChunkedArray) -> None:
    at = 0
    for chunk in column.chunks:
        target[at : at + len(chunk)] = chunk.to_numpy()
        at += len(chunk)
