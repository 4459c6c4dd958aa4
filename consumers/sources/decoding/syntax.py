"""The names of the AT protocol, as its specification writes them: DIDs, AT-URIs, paths of records, datetimes."""

import re
from datetime import UTC, datetime, timedelta

from consumers.sources.decoding.reading import MalformedError

# The first alternative is the usual one and quick; the second is the specification's.
_DID = r"(?:did:plc:[a-z2-7]{24}|did:[a-z]+:[A-Za-z0-9._:%-]{0,2000}[A-Za-z0-9._-])"
_HANDLE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?\.){1,125}[A-Za-z](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?"
_NSID = r"[A-Za-z][A-Za-z0-9.-]{0,316}"
_RKEY = r"[A-Za-z0-9._:~-]{1,512}"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_is_did = re.compile(_DID).fullmatch
_at_uri = re.compile(f"at://(?:({_DID})|{_HANDLE})(?:/({_NSID})(?:/{_RKEY})?)?").fullmatch
_path = re.compile(f"({_NSID})/{_RKEY}").fullmatch
_is_rkey = re.compile(_RKEY).fullmatch

usual_uri = re.compile(r"at://(did:plc:[a-z2-7]{24})/[A-Za-z.]{3,300}/[A-Za-z0-9._:~-]{1,512}").fullmatch
"""Match nearly every AT-URI of a record in one go, its DID as the group; the others need a longer look."""


def check_did(did: str) -> str:
    """Return `did` if it is a DID."""
    if _is_did(did) is None:
        raise MalformedError("bad_did", "not a DID")
    return did


def record_uri(did: str, collection: str, rkey: str) -> str:
    """Return the AT-URI of a record of somebody whose parts are as they must be."""
    uri = f"at://{did}/{collection}/{rkey}"
    if usual_uri(uri) is None:
        check_did(did)
        if _is_rkey(rkey) is None:
            raise MalformedError("bad_path", "not a record key")
    return uri


def author(uri: str) -> str | None:
    """Return the DID of an AT-URI; None where its authority is a handle, which names no agent."""
    match = _at_uri(uri)
    if match is None:
        raise MalformedError("bad_at_uri", "not an AT-URI")
    return match[1]


def authority(uri: str) -> tuple[str | None, str | None]:
    """Return the DID, as `author` does, and the collection of an AT-URI."""
    match = _at_uri(uri)
    if match is None:
        raise MalformedError("bad_at_uri", "not an AT-URI")
    return match[1], match[2]


def collection_of(path: str) -> str:
    """Return the collection of a record's path inside a repository."""
    match = _path(path)
    if match is None:
        raise MalformedError("bad_path", "not collection/rkey")
    return match[1]


def microseconds(text: str) -> int:
    """Return an ISO 8601 datetime with an offset as µs since the epoch."""
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except (TypeError, ValueError, OverflowError):
        raise MalformedError("bad_time", "not an ISO 8601 datetime with an offset") from None
