"""Recorded files: Jetstream v1 JSON lines or raw relay frames, plain, .gz or .zst, told apart by what they hold.

The cursor is the number of lines or frames read. A recording gives the same deliveries every time. What is damaged
is rejected and the rest kept; a file of which nothing can be read is a `SourceError`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from consumers.scoring import Scorer, load_scorer
from consumers.sources import Delivery, SourceError
from consumers.sources.decoding.jetstream1 import decode_line
from consumers.sources.decoding.reading import MalformedError, Reading, reject
from consumers.sources.decoding.relay import decode_frame
from consumers.sources.files import Broken, Oversize, Piece, frames, lines, read

BATCH: Final = 500
MAX_PIECE_BYTES: Final = 5_242_880
"""The protocol's own bound on a frame is 5 MB."""

_CBOR_MAPS: Final = {bytes([0xA0 + size]) for size in range(24)}
"""How a raw frame begins, after its length: no JSON has such a byte in fifth place."""

Form = Literal["frames", "lines"]


class RecordedSource:
    """One recorded file. Raises `SourceError` at once where it cannot be read, is empty or holds something else."""

    def __init__(
        self, path: Path | str, *, score: Scorer | None = None, now: int | None = None, check_cids: bool = False
    ) -> None:
        """`now`, µs, bounds the receipt times that are believed; the clock's by default."""
        self._path = Path(path)
        self._form = form_of(self._path)
        protocol = "relay" if self._form == "frames" else "jetstream1"
        self._reading = Reading(f"{protocol}:file:{self._path.name}", 0, score or load_scorer(), check_cids=check_cids)
        self._reading.at(time.time_ns() // 1000 if now is None else now)

    @property
    def name(self) -> str:
        """The source id: `relay:file:<name>` or `jetstream1:file:<name>`."""
        return self._reading.src

    async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        """Yield the file from after line or frame number `cursor` to its end."""
        number = cursor or 0
        pieces = islice(self._pieces(), number, None)
        while batch := list(islice(pieces, BATCH)):
            delivery = Delivery()
            for piece in batch:
                number += 1
                self._decode(piece, delivery, number)
            delivery.cursor = number
            yield delivery
            await asyncio.sleep(0)

    def numbered(self, numbers: Collection[int]) -> Iterator[tuple[int, Delivery]]:
        """Yield the lines or frames of these numbers, counted from 1, each by itself, as far as the file has them."""
        last = max(numbers, default=0)
        for number, piece in enumerate(islice(self._pieces(), last), 1):
            if number in numbers:
                delivery = Delivery(cursor=number)
                self._decode(piece, delivery, number)
                yield number, delivery

    def _decode(self, piece: Piece, delivery: Delivery, number: int) -> None:
        """Decode a piece; the place of what is rejected is its number, whatever it says of itself."""
        before = len(delivery.rejected)
        if isinstance(piece, bytes):
            decode: Callable[[bytes, Reading, Delivery, int], object]
            decode = decode_frame if self._form == "frames" else decode_line
            if piece or self._form == "frames":  # a blank line is no line
                decode(piece, self._reading, delivery, number)
        else:
            self._broken(piece, delivery, number)
        for index in range(before, len(delivery.rejected)):
            delivery.rejected[index] = replace(delivery.rejected[index], where=f"{self.name}@{number}")

    def _pieces(self) -> Iterator[Piece]:
        cut = frames if self._form == "frames" else lines
        try:
            yield from cut(read(self._path), MAX_PIECE_BYTES)
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def _broken(self, piece: Oversize | Broken, delivery: Delivery, number: int) -> None:
        delivery.frames += 1
        delivery.operations += 1
        if isinstance(piece, Oversize):
            error = MalformedError("oversize_frame", f"{piece.size} bytes, over {MAX_PIECE_BYTES}")
        else:
            error = MalformedError(piece.reason, "the file ends here, before its end")
        reject(delivery, self._reading, error, number, piece.size)


def form_of(path: Path) -> Form:
    """Tell by its first bytes what a recording holds. Raises `SourceError` where it holds neither form."""
    try:
        head = b""
        broken = False
        for chunk in read(path):
            if isinstance(chunk, Broken):
                broken = True
                break
            head += chunk
            if len(head) >= 1 << 16:
                break
    except OSError as error:
        raise _unreadable(path, error) from error
    if not head:
        cause = "cannot be decompressed; record it again" if broken else "is empty; give a recording with events in it"
        raise SourceError(f"The recording {path} {cause}.")
    if head[4:5] in _CBOR_MAPS or ".bin" in path.suffixes:
        return "frames"
    if any(line.lstrip().startswith(b"{") for line in head.splitlines()):
        return "lines"
    raise SourceError(
        f"The recording {path} holds neither Jetstream v1 JSON lines nor length-prefixed relay frames; give either."
    )


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"The recording {path} cannot be read ({error.strerror}); check the path and its permissions.")
