"""Jetstream v1: one JSON object a line or message, `{did, time_us, kind, commit | identity | account}`."""

from typing import Any

import orjson

from consumers.events import Event
from consumers.sources import Delivery
from consumers.sources.decoding import records
from consumers.sources.decoding.commit import operation
from consumers.sources.decoding.reading import EARLIEST, WRONG_SHAPE, MalformedError, Reading, check_time, reject
from consumers.sources.decoding.syntax import check_did


def decode_line(line: bytes, reading: Reading, into: Delivery, position: int) -> int | None:
    """Add one line to a delivery and return its `time_us`, or None where it has none that can be believed.

    `position` is only written into what is rejected. v1 has no seq of its own: events carry `time_us` as theirs,
    which is not monotonic, so `(did, rev, collection, rkey, operation)` is what tells repeats.
    """
    into.frames += 1
    into.operations += 1
    t: int | None = None
    try:
        document = orjson.loads(line)
        time_us = document["time_us"]
        if type(time_us) is not int or not EARLIEST <= time_us <= reading.latest:
            check_time(time_us, reading)
        t = time_us
        kind = document["kind"]
        if kind == "commit":
            events = operation(reading, document["commit"], document["did"], time_us, time_us)
        else:
            events = [_other(kind, document, time_us, reading)]
    except orjson.JSONDecodeError as error:
        reason = "not_json" if line.strip() else "empty_frame"
        reject(into, reading, MalformedError(reason, f"{error.msg} at byte {error.pos}"), position, len(line))
    except (MalformedError, *WRONG_SHAPE) as error:
        reject(into, reading, error, position, len(line))
    else:
        if isinstance(events, str):
            into.ignored[events] += 1
        else:
            into.accepted += 1
            into.events += events
    return t


def _other(kind: str, document: dict[str, Any], t: int, reading: Reading) -> Event:
    """Return the event of a line that is not a commit."""
    if kind == "identity":
        return records.identity(reading, check_did(document["did"]), t, t)
    if kind == "account":
        return records.account(reading, t, t, document["account"])
    raise MalformedError("unknown_kind", "'kind' is none of commit, identity, account")
