"""Records become agent events: who acted, on whom, and in which tone. The same for every protocol.

- A post with both a reply and a quote is a `reply`; who is quoted also gets a target event of kind `quote`.
- A quote is an embed (`record`, or `record` inside `recordWithMedia`) of a URI in `app.bsky.feed.post`.
- A like or repost targets the author of its subject, whatever that is (a post, a feed, a list): design §4 makes its
  exception for quotes only. A subject named by a handle has no target event, since a handle names no agent.
- Acting on oneself makes no target event and has no peer.
"""

from typing import Any, Final

from consumers.events import Event, Kind
from consumers.sources.decoding.reading import MalformedError, Reading
from consumers.sources.decoding.syntax import author, authority, check_did, usual_uri

POST: Final = "app.bsky.feed.post"
LIKE: Final = "app.bsky.feed.like"
REPOST: Final = "app.bsky.feed.repost"
FOLLOW: Final = "app.bsky.graph.follow"
COLLECTIONS: Final = (LIKE, POST, REPOST, FOLLOW)
"""The collections whose records are agent events, the commonest first; all others are ignored."""

Origin = tuple[str, int, int, str, int, str]
"""Where an operation comes from: actor, time in µs, seq, rev, index in its commit, URI of its record."""

_SUBJECTS: dict[str, Kind] = {LIKE: "like", REPOST: "repost"}
_LENSES: Final = ["all"]  # one list shared by all events: they are encoded, never changed


def created(reading: Reading, origin: Origin, collection: str, record: dict[str, Any]) -> list[Event]:
    """Return one to three events of a record created in one of `COLLECTIONS`, the actor's first.

    Raises `MalformedError`, `KeyError`, `TypeError` or `AttributeError` where the record is not what it must be.
    """
    did, t, seq, rev, op, uri = origin
    src = reading.src
    valence = quoted = None
    kind = _SUBJECTS.get(collection)
    if kind is not None:
        subject = record["subject"]["uri"]
        match = usual_uri(subject)
        target = author(subject) if match is None else match[1]
    elif collection == FOLLOW:
        kind = "follow"
        target = check_did(record["subject"])
    else:
        kind, target, quoted, valence = _post(reading, record)
    if target is None or target == did:
        events = [Event(did, "actor", kind, None, t, src, seq, rev, op, uri, valence, None, _LENSES)]
    else:
        events = [
            Event(did, "actor", kind, target, t, src, seq, rev, op, uri, valence, None, _LENSES),
            Event(target, "target", kind, did, t, src, seq, rev, op, uri, None, None, _LENSES),
        ]
    if quoted is not None and quoted != did:
        events.append(Event(quoted, "target", "quote", did, t, src, seq, rev, op, uri, None, None, _LENSES))
    return events


def retracted(reading: Reading, origin: Origin) -> Event:
    """Return the event of a record deleted in one of `COLLECTIONS`: it says who and what, the record itself is gone."""
    did, t, seq, rev, op, uri = origin
    return Event(did, "actor", "retract", None, t, reading.src, seq, rev, op, uri, None, None, _LENSES)


def identity(reading: Reading, did: str, t: int, seq: int) -> Event:
    """Return the event of a changed handle or key."""
    return Event(did, "actor", "identity", None, t, reading.src, seq, None, 0, None, None, None, _LENSES)


def account(reading: Reading, t: int, seq: int, body: dict[str, Any]) -> Event:
    """Return the event of an account's new status: `active`, or why it is not; `deactivated` where that is not said."""
    active = body["active"]
    status = "active" if active is True else body.get("status") or "deactivated"
    if type(active) is not bool or type(status) is not str:
        raise MalformedError("wrong_type", "'active' or 'status' is not of its type")
    did = check_did(body["did"])
    return Event(did, "actor", "account", None, t, reading.src, seq, None, 0, None, None, status[:64], _LENSES)


def _post(reading: Reading, record: dict[str, Any]) -> tuple[Kind, str | None, str | None, float | None]:
    """Return kind, target, who else is quoted, and valence of a post."""
    text = record["text"]
    if type(text) is not str:
        raise MalformedError("wrong_type", "'text' is not a string")
    langs = record.get("langs")
    tags = [tag for tag in langs if type(tag) is str] if type(langs) is list else []
    quoted, quotes = _quoted(record.get("embed"))
    reply = record.get("reply")
    kind: Kind = "post"
    target = None
    if reply is not None:
        kind, target = "reply", author(reply["parent"]["uri"])
    elif quotes:
        kind, target, quoted = "quote", quoted, None
    return kind, target, quoted, reading.score(text, tags)


def _quoted(embed: Any) -> tuple[str | None, bool]:
    """Return who is quoted and whether anything is."""
    if embed is None:
        return None, False
    form = embed.get("$type")
    if form == "app.bsky.embed.record":
        uri = embed["record"]["uri"]
    elif form == "app.bsky.embed.recordWithMedia":
        uri = embed["record"]["record"]["uri"]
    else:
        return None, False
    did, collection = authority(uri)
    return (did, True) if collection == POST else (None, False)
