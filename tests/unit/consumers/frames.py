"""Small factories of frames and lines, one per protocol, so that a test says only what is odd about its own."""

import json
from hashlib import sha256
from typing import Any

from libipld import encode_dag_cbor

ACTOR = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
OTHER = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
THIRD = "did:plc:cccccccccccccccccccccccc"
REV = "3mptbypluud2a"
TIME = "2026-07-04T14:38:07.517Z"
TIME_US = 1_783_175_887_517_000

POST = "app.bsky.feed.post"
LIKE = "app.bsky.feed.like"


def post_uri(did: str = OTHER, collection: str = POST) -> str:
    return f"at://{did}/{collection}/3mpsjbtci2c2o"


def like(uri: str | None = None) -> dict[str, Any]:
    return {"$type": LIKE, "createdAt": TIME, "subject": {"cid": "bafy", "uri": uri or post_uri()}}


def commit_line(collection: str, record: Any, *, operation: str = "create", **fields: Any) -> bytes:
    commit = {"rev": REV, "operation": operation, "collection": collection, "rkey": fields.pop("rkey", "3mptbyplj5d2a")}
    if record is not None:
        commit["record"] = record
    return json.dumps({"did": ACTOR, "time_us": TIME_US, "kind": "commit", "commit": commit} | fields).encode()


def like_line(**fields: Any) -> bytes:
    return commit_line(LIKE, like(), **fields)


def v2_message(kind: str = "commit", seq: int = 1, **fields: Any) -> bytes:
    payload = {"$type": f"network.bsky.jetstream.subscribeEvents#{kind}", "seq": seq, "did": ACTOR, "time": TIME}
    if kind == "commit":
        payload |= {"rev": REV, "operation": "create", "collection": LIKE, "rkey": "3mptbyplj5d2a", "record": like()}
    return json.dumps({"$type": "message", "payload": payload | fields}).encode()


def cid_of(block: bytes) -> bytes:
    return b"\x01\x71\x12\x20" + sha256(block).digest()


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _link(cid: bytes) -> bytes:
    return b"\xd8\x2a\x58\x25\x00" + cid


def car(blocks: list[bytes]) -> bytes:
    header = b"\xa2\x65roots\x80\x67version\x01"
    out = _varint(len(header)) + header
    for block in blocks:
        out += _varint(36 + len(block)) + cid_of(block) + block
    return out


def frame(kind: str, body: bytes | dict[str, Any], op: int = 1) -> bytes:
    header = {"op": op, "t": kind} if op == 1 else {"op": op}
    return encode_dag_cbor(header) + (body if isinstance(body, bytes) else encode_dag_cbor(body))


def commit_frame(
    records: list[tuple[str, Any]] | None = None, *, seq: int = 1, drop: int | None = None, **fields: Any
) -> bytes:
    """A #commit of creates of (collection, record); a record of None is a delete. `drop` leaves out one block."""
    records = [(LIKE, like())] if records is None else records
    blocks = [None if record is None else encode_dag_cbor(record) for _, record in records]
    ops = b""
    for index, ((collection, _), block) in enumerate(zip(records, blocks, strict=True)):
        path = encode_dag_cbor(f"{collection}/3mptbyplj{index:04d}")
        action = encode_dag_cbor("delete" if block is None else "create")
        cid = b"\xf6" if block is None else _link(cid_of(block))
        ops += b"\xa3\x63cid" + cid + b"\x64path" + path + b"\x66action" + action
    count = len(records)
    head = bytes([0x80 + count]) if count < 24 else b"\x99" + count.to_bytes(2, "big")
    carried = [block for index, block in enumerate(blocks) if block is not None and index != drop]
    body = {"repo": ACTOR, "rev": REV, "seq": seq, "time": TIME, "blocks": car(carried)} | fields
    entries = {key: encode_dag_cbor(value) for key, value in body.items()} | {"ops": head + ops}
    ordered = sorted(entries, key=lambda key: (len(key), key))  # DAG-CBOR's order of keys
    return frame("#commit", bytes([0xA0 + len(ordered)]) + b"".join(encode_dag_cbor(k) + entries[k] for k in ordered))
