"""The blocks of a CAR file that someone asks for, found by walking its sections: no other block is decoded."""

from collections.abc import Collection

from consumers.sources.decoding.reading import MalformedError

CID_BYTES = 36
"""CIDv1, one byte each of version, codec, hash and length, and the 32 bytes of a SHA-256: all that repositories use."""


def find_blocks(car: bytes, wanted: Collection[bytes]) -> dict[bytes, bytes]:
    """Return the wanted blocks that are there, by CID; stops at the last one.

    Raises `MalformedError` where the CAR is cut short before that.
    """
    found: dict[bytes, bytes] = {}
    size = len(car)
    length, at = _varint(car, 0)
    at += length
    while at < size:
        length = car[at]
        if length < 0x80:  # noqa: PLR2004 - the usual varints of one and two bytes, read in place
            at += 1
        elif at + 1 < size and car[at + 1] < 0x80:  # noqa: PLR2004
            length += (car[at + 1] << 7) - 0x80
            at += 2
        else:
            length, at = _varint(car, at)
        end = at + length
        cid = car[at : at + CID_BYTES]
        if cid in wanted:
            if end > size:
                break
            found[cid] = car[at + CID_BYTES : end]
            if len(found) == len(wanted):
                return found
        at = end
    if at != size:
        raise MalformedError("bad_car", "the CAR ends inside a section")
    return found


def _varint(car: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned LEB128 and where it ends."""
    value = 0
    for index, byte in enumerate(car[at : at + 9]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, at + index + 1
    raise MalformedError("bad_car", "the length of a section is no varint")
