"""`com.atproto.sync.subscribeRepos`: a frame is a DAG-CBOR header and a DAG-CBOR body; a commit carries a CAR.

Only the record blocks of new posts, likes, reposts and follows are decoded; the tree around them is walked over.
"""

from hashlib import sha256
from typing import Any, Final

from libipld import decode_dag_cbor, decode_dag_cbor_multi

from consumers.events import Event
from consumers.sources import Delivery
from consumers.sources.decoding import records
from consumers.sources.decoding.car import find_blocks
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
from consumers.sources.decoding.syntax import check_did, collection_of, microseconds

MAX_OPS: Final = 200
_ACTIONS: Final = frozenset({"create", "update", "delete"})
_PREFIXES: Final = tuple(f"{collection}/" for collection in records.COLLECTIONS)


def decode_frame(frame: bytes, reading: Reading, into: Delivery, position: int) -> Mark | Notice | None:
    """Add one frame to a delivery; return its seq and time, or what the host has to say, or None if it has no seq.

    A commit counts one operation for each of its ops (an empty one counts none), every other frame one.
    """
    into.frames += 1
    seq = t = None
    try:
        name, body = _open(frame)
        if name is None or name == "#info":
            into.operations += 1
            into.ignored["error_frame" if name is None else "info"] += 1
            return notice(body, fatal=name is None)
        seq = check_seq(body["seq"])
        t = check_time(microseconds(body["time"]), reading)
        if name == "#commit":
            _commit(body, seq, t, reading, into)
        else:
            _other(name, body, t, reading, into)
    except (MalformedError, *WRONG_SHAPE) as error:
        into.operations += 1
        reject(into, reading, error, position if seq is None else seq, len(frame))
    return None if seq is None else Mark(seq, t)


def _open(frame: bytes) -> tuple[str | None, dict[str, Any]]:
    """Return a frame's type, None for an error frame, and its body."""
    if not frame:
        raise MalformedError("empty_frame", "a frame without bytes")
    try:
        header, body = decode_dag_cbor_multi(frame)
    except (ValueError, RecursionError) as error:
        raise MalformedError("not_cbor", "not two DAG-CBOR items") from error
    if type(header) is not dict or type(body) is not dict:
        raise MalformedError("wrong_type", "header or body is not a map")
    op = header["op"]
    if op == 1:
        name = header["t"]
        if type(name) is not str:
            raise MalformedError("wrong_type", "'t' is not a string")
        return name, body
    if op == -1:
        return None, body
    raise MalformedError("unknown_kind", "'op' is neither 1 nor -1")


def _other(name: str, body: dict[str, Any], t: int, reading: Reading, into: Delivery) -> None:
    """Account for a frame that is not a commit. Raises, with nothing counted, where it cannot be read."""
    seq = reading.seq_base + body["seq"]
    if name == "#identity":
        into.events.append(records.identity(reading, check_did(body["did"]), t, seq))
        into.accepted += 1
    elif name == "#account":
        into.events.append(records.account(reading, t, seq, body))
        into.accepted += 1
    elif name == "#sync":
        into.ignored["sync"] += 1
    else:
        raise MalformedError("unknown_kind", "a frame type that is not known")
    into.operations += 1


def _commit(body: dict[str, Any], seq: int, t: int, reading: Reading, into: Delivery) -> None:
    """Account for every op of a commit. Raises, with nothing counted, where the commit itself cannot be read."""
    ops, rev, car = body["ops"], body["rev"], body["blocks"]
    did = check_did(body["repo"])
    if type(ops) is not list or type(rev) is not str or type(car) is not bytes:
        raise MalformedError("wrong_type", "'ops', 'rev' or 'blocks' is not of its type")
    if len(ops) > MAX_OPS:
        raise MalformedError("too_many_ops", f"{len(ops)} ops, over {MAX_OPS}")
    blocks: dict[bytes, bytes] = {}
    if wanted := _wanted(ops):
        blocks = find_blocks(car, wanted)
    commit = (did, t, reading.seq_base + seq, rev)
    for index, op in enumerate(ops):
        into.operations += 1
        try:
            events = _operation(op, index, commit, blocks, reading)
        except (MalformedError, *WRONG_SHAPE) as error:
            reject(into, reading, error, seq, len(car))
        else:
            if isinstance(events, str):
                into.ignored[events] += 1
            else:
                into.accepted += 1
                into.events += events


def _wanted(ops: list[dict[str, Any]]) -> set[bytes]:
    """Return the CIDs of the records that are read; an op that is not one is met again, and rejected, on its own."""
    try:
        return {op["cid"] for op in ops if op["action"] == "create" and op["path"].startswith(_PREFIXES)}
    except WRONG_SHAPE:
        return {op["cid"] for op in ops if type(op) is dict and type(op.get("cid")) is bytes}


def _operation(
    op: dict[str, Any], index: int, commit: tuple[str, int, int, str], blocks: dict[bytes, bytes], reading: Reading
) -> list[Event] | str:
    """Return the events of one op, or the reason to ignore it."""
    action = op["action"]
    path = op["path"]
    collection = collection_of(path)
    if action not in _ACTIONS:
        raise MalformedError("unknown_action", "'action' is none of create, update, delete")
    if collection not in records.COLLECTIONS:
        return "other_collection"
    if action == "update":
        return "update"
    did, t, seq, rev = commit
    origin = (did, t, seq, rev, index, f"at://{did}/{path}")
    if action == "delete":
        return [records.retracted(reading, origin)]
    return records.created(reading, origin, collection, _record(op["cid"], blocks, check=reading.check_cids))


def _record(cid: bytes, blocks: dict[bytes, bytes], *, check: bool) -> dict[str, Any]:
    """Return the record of a CID."""
    block = blocks.get(cid)
    if block is None:
        raise MalformedError("missing_block", "the commit does not carry the record's block")
    if check and sha256(block).digest() != cid[4:]:
        raise MalformedError("bad_cid", "a block does not have the hash that names it")
    try:
        record = decode_dag_cbor(block)
    except (ValueError, RecursionError) as error:
        raise MalformedError("bad_block", "the record's block is not DAG-CBOR") from error
    if type(record) is not dict:
        raise MalformedError("bad_block", "the record is not a map")
    return record
