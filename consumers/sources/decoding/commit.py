"""One operation of a commit as both Jetstreams write it: `{rev, operation, collection, rkey, record?}`."""

from typing import Any

from consumers.events import Event
from consumers.sources import Delivery
from consumers.sources.decoding import records
from consumers.sources.decoding.reading import MalformedError, Reading
from consumers.sources.decoding.syntax import check_did, check_rkey


def operation(
    reading: Reading, into: Delivery, body: dict[str, Any], *, did: str, t: int, seq: int
) -> list[Event] | None:
    """Return the events of an operation, or None where it was counted as ignored. Raises where it cannot be read."""
    collection = body["collection"]
    action = body["operation"]
    rev = body["rev"]
    check_did(did)
    rkey = check_rkey(body["rkey"])
    if type(rev) is not str or type(collection) is not str:
        raise MalformedError("wrong_type", "'rev' or 'collection' is not a string")
    if action == "create":
        if collection in records.COLLECTIONS:
            return records.created(
                reading, body["record"], did=did, t=t, seq=seq, rev=rev, op=0, collection=collection, rkey=rkey
            )
    elif action == "delete":
        if collection in records.COLLECTIONS:
            return [records.retracted(reading, did=did, t=t, seq=seq, rev=rev, op=0, collection=collection, rkey=rkey)]
    elif action != "update":
        raise MalformedError("unknown_action", "'operation' is none of create, update, delete")
    into.ignored["update" if collection in records.COLLECTIONS else "other_collection"] += 1
    return None
