"""One operation of a commit as both Jetstreams write it: `{rev, operation, collection, rkey, record?}`."""

from typing import Any

from consumers.events import Event
from consumers.sources.decoding.reading import MalformedError, Reading
from consumers.sources.decoding.records import COLLECTIONS, created, retracted
from consumers.sources.decoding.syntax import record_uri


def operation(reading: Reading, body: dict[str, Any], did: str, t: int, seq: int) -> list[Event] | str:
    """Return the events of an operation, or the reason to ignore it. Raises where it cannot be read."""
    collection = body["collection"]
    action = body["operation"]
    rev = body["rev"]
    rkey = body["rkey"]
    if type(rev) is not str or type(collection) is not str or type(rkey) is not str:
        raise MalformedError("wrong_type", "'rev', 'collection' or 'rkey' is not a string")
    uri = record_uri(did, collection, rkey)
    if action == "create":
        if collection in COLLECTIONS:
            return created(reading, (did, t, seq, rev, 0, uri), collection, body["record"])
    elif action == "delete":
        if collection in COLLECTIONS:
            return [retracted(reading, (did, t, seq, rev, 0, uri))]
    elif action != "update":
        raise MalformedError("unknown_action", "'operation' is none of create, update, delete")
    return "update" if collection in COLLECTIONS else "other_collection"
