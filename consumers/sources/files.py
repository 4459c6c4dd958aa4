"""Recorded bytes: a file, plain or compressed, cut into lines or into length-prefixed frames. Memory is bounded.

What cannot be cut is said by `Broken`, once, and ends the file; a piece over the limit is said by `Oversize`.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import zstandard

READ_BYTES: Final = 16_384
GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_LENGTH_BYTES: Final = 4


@dataclass(slots=True, frozen=True)
class Broken:
    """The file ends here, before its end: `reason` is `truncated`, `undecompressable` or `oversize_frame`."""

    reason: str
    size: int


@dataclass(slots=True, frozen=True)
class Oversize:
    """A line or frame over the limit was skipped."""

    size: int


Piece = bytes | Oversize | Broken


class _Decompressor(Protocol):
    """One member of a gzip or zstd file."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def read(path: Path) -> Iterator[bytes | Broken]:
    """Yield a file's bytes, decompressed where its first bytes say that it is compressed. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(READ_BYTES)
        if head.startswith((GZIP_MAGIC, ZSTD_MAGIC)):
            yield from _decompress(_chunks(head, file.read), gzip=head.startswith(GZIP_MAGIC))
        else:
            yield from _chunks(head, file.read)


def lines(chunks: Iterator[bytes | Broken], limit: int) -> Iterator[Piece]:
    """Yield lines without their newline; the last one need not have one."""
    parts: list[bytes] = []
    held = 0
    for chunk in chunks:
        if isinstance(chunk, Broken):
            yield chunk
            return
        first, *rest = chunk.split(b"\n")
        held += len(first)
        if held <= limit:
            parts.append(first)
        for line in rest:
            yield Oversize(held) if held > limit else b"".join(parts)
            parts, held = [line], len(line)
    if held:
        yield Oversize(held) if held > limit else b"".join(parts)


def frames(chunks: Iterator[bytes | Broken], limit: int) -> Iterator[Piece]:
    """Yield frames, each of which follows its length as a little-endian u32."""
    held = bytearray()
    skip = 0
    for chunk in chunks:
        if isinstance(chunk, Broken):
            yield chunk
            return
        held += chunk
        at = 0
        while True:
            taken = min(skip, len(held) - at)
            skip -= taken
            at += taken
            if skip or len(held) - at < _LENGTH_BYTES:
                break
            size = int.from_bytes(held[at : at + _LENGTH_BYTES], "little")
            if size > limit:
                yield Oversize(size)
                skip = _LENGTH_BYTES + size
            elif len(held) - at >= _LENGTH_BYTES + size:
                at += _LENGTH_BYTES
                yield bytes(held[at : at + size])
                at += size
            else:
                break
        del held[:at]
    if held or skip:
        yield Broken("truncated", len(held))


def _chunks(head: bytes, more: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield what was read and then the rest."""
    while head:
        yield head
        head = more(READ_BYTES)


def _decompress(chunks: Iterator[bytes], *, gzip: bool) -> Iterator[bytes | Broken]:
    """Yield the bytes of every member, one after the other."""
    member: _Decompressor | None = None
    for chunk in chunks:
        data = chunk
        while data:
            if member is None:
                member = zlib.decompressobj(wbits=31) if gzip else zstandard.ZstdDecompressor().decompressobj()
            try:
                plain = member.decompress(data)
            except (zlib.error, zstandard.ZstdError):
                yield Broken("undecompressable", len(data))
                return
            if plain:
                yield plain
            data = b""
            if member.eof:
                data, member = member.unused_data, None
    if member is not None:
        yield Broken("truncated", 0)
