"""Jetstream v2, `network.bsky.jetstream.subscribeEvents`: `{"$type": "message", "payload": {"$type": "…#kind", …}}`.

Every operation has a seq of its own, which only grows on one host. `#identity` and `#account` wrap what the relay sent.
"""

from typing import Any, Final

import orjson

from consumers.events import Event
from consumers.sources import Delivery
from consumers.sources.decoding import records
from consumers.sources.decoding.commit import operation
from consumers.sources.decoding.reading import (
    WRONG_SHAPE,
    MalformedError,
    Mark,
    Notice,
    Reading,
    check_seq,
    check_time,
    notice,
    reject,
)
from consumers.sources.decoding.syntax import check_did, microseconds

METHOD: Final = "network.bsky.jetstream.subscribeEvents"


def decode_message(message: bytes, reading: Reading, into: Delivery, position: int) -> Mark | Notice | None:
    """Add one message to a delivery; return its seq and time, or what the host has to say, or None if it has no seq."""
    into.frames += 1
    into.operations += 1
    seq = t = None
    try:
        document = orjson.loads(message)
        kind, payload = _open(document)
        if kind in {"error", "info"}:
            into.ignored["error_frame" if kind == "error" else "info"] += 1
            return notice(payload, fatal=kind == "error")
        seq = check_seq(payload["seq"])
        t = check_time(microseconds(payload.get("witnessedAt") or payload["time"]), reading)
        if kind == "commit":
            events = operation(reading, payload, payload["did"], t, reading.seq_base + seq)
        else:
            events = _other(kind, payload, t, reading.seq_base + seq, reading)
        if isinstance(events, str):
            into.ignored[events] += 1
        else:
            into.accepted += 1
            into.events += events
    except orjson.JSONDecodeError as error:
        reason = "not_json" if message.strip() else "empty_frame"
        reject(into, reading, MalformedError(reason, f"{error.msg} at byte {error.pos}"), position, len(message))
    except (MalformedError, *WRONG_SHAPE) as error:
        reject(into, reading, error, position if seq is None else seq, len(message))
    return None if seq is None else Mark(seq, t)


def _open(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the kind of a message and its payload; an error is its own payload."""
    form = document["$type"]
    if form == "error":
        return "error", document
    if form != "message":
        raise MalformedError("unknown_kind", "'$type' is neither message nor error")
    payload = document["payload"]
    if type(payload) is not dict:
        raise MalformedError("wrong_type", "'payload' is not an object")
    return payload["$type"].rpartition("#")[2], payload


def _other(kind: str, payload: dict[str, Any], t: int, seq: int, reading: Reading) -> list[Event] | str:
    """Return the events of a payload that is not a commit, or the reason to ignore it."""
    if kind == "identity":
        return [records.identity(reading, check_did(payload["did"]), t, seq)]
    if kind == "account":
        return [records.account(reading, t, seq, payload["account"])]
    if kind == "sync":
        return "sync"
    raise MalformedError("unknown_kind", "a payload type that is not known")
