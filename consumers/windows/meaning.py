"""What one record of the log means to windows: where it counts, whether its account has left, when it was.

The fold asks on every record, so what can be is a table, and what is refused is an exception of `MALFORMED`.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from consumers.events import ACTIONS
from engine.columns import ACTS, INDEX, RECEIVED

OPS: Final = 4096
RANKS: Final = 4
"""How many operations a seq has room for, and how many ranks an operation: together they place an event."""

COUNTED: Final = {
    "actor": {kind: (INDEX[name], 0) for kind, name in zip(ACTIONS, ACTS, strict=True)},
    "target": {
        kind: (INDEX[name], 1 if kind == "reply" else 2) for kind, name in zip(ACTIONS[1:], RECEIVED, strict=True)
    },
}
"""The column and the rank of what counts. Nobody is the target of a post; the others stand in the same order among
acts and among what is received."""

LAST_SPOKEN: Final = INDEX["quotes"]
"""Posts, replies and quotes come first among the columns: they alone have a valence."""

MALFORMED: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading a record raises that is none."""


def status_of(event: dict[str, Any]) -> str | None:
    """Return the status in an event that is no action, None where it has none; refuse a kind that nobody knows."""
    kind = event["kind"]
    if kind not in {"retract", "account", "identity"} or event["role"] != "actor":
        raise ValueError(kind)
    status: str | None = event["status"] if kind == "account" else None
    return status


def first_time(values: Sequence[bytes | None]) -> int | None:
    """Return the time of the first event among some records, None where there is none."""
    for value in values:
        try:
            t = orjson.loads(value)["t"]  # type: ignore[arg-type]  # None is refused, and caught
        except MALFORMED:
            continue
        if type(t) is int:
            return t
    return None
