"""Batches of records as blobs: nothing changes on the way there and back, and damage is seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.log.packing import DamagedError, Packer, Records

records = st.lists(
    st.tuples(st.integers(1, 1_000), st.binary(max_size=20), st.none() | st.binary(max_size=60)),
    min_size=1,
    max_size=60,
)


def batch(steps: list[tuple[int, bytes, bytes | None]], first: int = 0) -> Records:
    offsets = []
    offset = first
    for step, _, _ in steps:
        offsets.append(offset)
        offset += step
    return Records(offsets, [key for _, key, _ in steps], [value for _, _, value in steps])


@given(records, st.integers(0, 2**40))
def test_a_batch_comes_back_as_it_was(steps, first):
    written = batch(steps, first)
    packer = Packer()
    read = packer.unpack(first, packer.pack(written))
    assert list(read.offsets) == list(written.offsets)
    assert read.keys == written.keys
    assert read.values == written.values


@given(records, st.integers(0, 70_000))
def test_a_cut_batch_holds_what_is_at_or_after_the_offset(steps, offset):
    written = batch(steps)
    kept = [i for i, held in enumerate(written.offsets) if held >= offset]
    cut = written.since(offset)
    assert list(cut.offsets) == [written.offsets[i] for i in kept]
    assert list(cut.values) == [written.values[i] for i in kept]


@given(records, st.data())
def test_a_flipped_bit_is_never_read_as_records(steps, data):
    written = batch(steps)
    packer = Packer()
    blob = bytearray(packer.pack(written))
    bit = data.draw(st.integers(0, len(blob) * 8 - 1))
    blob[bit // 8] ^= 1 << bit % 8
    try:
        read = packer.unpack(0, bytes(blob))
    except DamagedError:
        return
    assert (list(read.offsets), read.keys, read.values) == (list(written.offsets), written.keys, written.values)


def test_no_bytes_are_no_batch():
    with pytest.raises(DamagedError):
        Packer().unpack(0, b"")
