"""Mutated real frames and lines: no decoder raises, and every operation is accepted, ignored or rejected."""

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from libipld import decode_dag_cbor_multi, encode_dag_cbor

from consumers.scoring import no_score
from consumers.sources import Delivery
from consumers.sources.decoding.jetstream1 import decode_line
from consumers.sources.decoding.jetstream2 import decode_message
from consumers.sources.decoding.reading import REASONS, Reading
from consumers.sources.decoding.relay import decode_frame
from tests.unit.consumers.corpus import raw_frames, v1_lines
from tests.unit.consumers.frames import TIME_US, commit_frame, like_line, v2_message

DECODERS = {"relay": decode_frame, "jetstream1": decode_line, "jetstream2": decode_message}
SAMPLES = {"relay": commit_frame(), "jetstream1": like_line(), "jetstream2": v2_message()}


def reading() -> Reading:
    made = Reading("relay:fuzz", 0, no_score, check_cids=True)
    made.at(TIME_US)
    return made


def account_for(protocol: str, data: bytes) -> Delivery:
    delivery = Delivery()
    DECODERS[protocol](data, reading(), delivery, 0)
    assert delivery.frames == 1
    assert delivery.operations == delivery.accepted + delivery.ignored.total() + len(delivery.rejected)
    assert len(delivery.events) <= 3 * delivery.accepted
    assert {rejected.reason for rejected in delivery.rejected} <= REASONS
    for event in delivery.events:
        event.encode()
    return delivery


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Flip, drop, repeat or splice a few bytes."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        size = rng.choice((1, 1, 2, 8, 64))
        match rng.randrange(4):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at : at + size]
            case 2:
                out[at:at] = out[at : at + size]
            case _:
                out[at : at + size] = rng.randbytes(size)
    return bytes(out)


ODD = (None, True, -1, 0, 1.5, 1 << 62, "", "at://", "\ud7ff\u0000", "x" * 5_000, b"", [], {}, [[]], {"uri": 7})


def warp(protocol: str, data: bytes, rng: random.Random) -> bytes:
    """Drop a value somewhere in a document, or put something odd in its place: the form stays, the content does not."""
    document = list(decode_dag_cbor_multi(data)) if protocol == "relay" else orjson.loads(data)
    for _ in range(rng.randint(1, 2)):
        inside, key = rng.choice(list(places(document)))
        if isinstance(inside, dict) and rng.random() < 0.3:
            del inside[key]
        else:
            inside[key] = deepcopy(rng.choice(ODD))
    if protocol == "relay":
        return b"".join(map(encode_dag_cbor, document))
    return orjson.dumps(document, default=bytes.hex)


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where the values of a document are: what holds each, and its key there."""
    keys = list(document) if isinstance(document, dict) else range(len(document))
    for key in keys:
        yield document, key
        if isinstance(document[key], (dict, list)):
            yield from places(document[key])


@given(protocol=st.sampled_from(sorted(DECODERS)), data=st.binary(max_size=300))
def test_any_bytes_are_accounted_for(protocol, data):
    account_for(protocol, data)


@given(protocol=st.sampled_from(sorted(DECODERS)), seed=st.integers(0, 2**32))
@settings(max_examples=400)
def test_mutated_bytes_are_accounted_for(protocol, seed):
    account_for(protocol, mutate(SAMPLES[protocol], random.Random(seed)))


@given(protocol=st.sampled_from(sorted(DECODERS)), seed=st.integers(0, 2**32))
@settings(max_examples=400)
def test_warped_documents_are_accounted_for(protocol, seed):
    account_for(protocol, warp(protocol, SAMPLES[protocol], random.Random(seed)))


@given(cut=st.integers(0, 2_000), protocol=st.sampled_from(sorted(DECODERS)))
def test_bytes_cut_short_are_rejected(cut, protocol):
    data = SAMPLES[protocol]
    delivery = account_for(protocol, data[: cut % len(data)])
    assert delivery.accepted == 0
    assert len(delivery.rejected) == 1


def test_mutated_real_bytes_are_accounted_for():
    rng = random.Random(20261123)
    frames, lines = raw_frames(), v1_lines()
    kept = 0
    for _ in range(3_000):
        kept += account_for("relay", mutate(rng.choice(frames), rng)).accepted
        kept += account_for("jetstream1", mutate(rng.choice(lines), rng)).accepted
    assert kept > 500  # much damage lies where nobody looks: else this would only test the outermost layer
