"""Attribution records as bytes, a column at a time.

A run may have millions of records, so no record is built as an object: orjson writes each column once and a
template joins the columns. The bytes are those that orjson gives for the same record as a dict.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from consumers.log import Entry
from daemon.runs.attributions import FACE, Attributions


def entries(table: Attributions, rows: NDArray[np.int64], run: str, lens: str) -> list[Entry]:
    """Return the log entries of the given rows, keyed by agent, in the order of `rows`."""
    if not rows.size:
        return []
    names = [table.agents[row] for row in rows.tolist()]
    tiers = [name.encode() for name in table.tier_names]
    columns = [
        _texts(names),
        [tiers[tier] for tier in table.tiers[rows].tolist()],
        _numbers(table.visibility[rows]),
        *(_numbers(table.phi[key][rows]) for key in _ordered(table)),
    ]
    template = _template(table, run, lens)
    keys = map(str.encode, names)
    return [Entry(key, template % values) for key, values in zip(keys, zip(*columns, strict=True), strict=True)]


def chunks(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield consecutive stretches of at most `size` rows."""
    for start in range(0, rows.size, size):
        yield rows[start : start + size]


def _ordered(table: Attributions) -> list[tuple[str, str]]:
    """Return the findings with all of `level` before all of `change`."""
    return sorted(table.phi, key=lambda key: key[1] != "neutral")


def _template(table: Attributions, run: str, lens: str) -> bytes:
    """Return the record with `%b` where a column's value goes."""
    faces: dict[str, list[bytes]] = {"level": []}
    for indicator, baseline in _ordered(table):
        faces.setdefault(FACE[baseline], []).append(_literal(indicator) + b":%b")
    tail = b",".join(_literal(face) + b":{" + b",".join(fields) + b"}" for face, fields in faces.items())
    head = b'{"v":1,"run":' + _literal(run) + b',"lens":' + _literal(lens)
    return head + b',"agent":"%b","tier":"%b","visibility":%b,' + tail + b"}"


def _literal(text: str) -> bytes:
    """Return a JSON string that stands for itself in a template."""
    return orjson.dumps(text).replace(b"%", b"%%")


def _texts(names: Sequence[str]) -> list[bytes]:
    """Return each name as the inside of a JSON string.

    Splitting at `","` is safe: within a JSON string every quotation mark follows a backslash.
    """
    return orjson.dumps(names)[2:-2].split(b'","')


def _numbers(column: NDArray[np.float64] | NDArray[np.int64]) -> list[bytes]:
    """Return each number as JSON; floats as the shortest text that reads back to the same bits."""
    return orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def tombstones(agents: Sequence[str]) -> list[Entry]:
    """Return the entries that erase these agents from the topic."""
    return [Entry(agent.encode(), None) for agent in agents]
