"""Jetstream: v1 `/subscribe` (`jetstream1:{host}`) and v2 `subscribeEvents` (`jetstream2:{host}`)."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from random import Random
from typing import Final, cast
from urllib.parse import urlencode

import orjson

from consumers.scoring import Scorer
from consumers.sources import Delivery, Gap
from consumers.sources.decoding import jetstream2, records
from consumers.sources.decoding.jetstream1 import decode_line
from consumers.sources.decoding.reading import MalformedError, Mark, Notice, reject
from consumers.sources.inflate import Inflate, download
from consumers.sources.live import STEPPED_OVER, LiveSource, system_clock
from consumers.sources.sequenced import SequencedSource
from consumers.sources.websocket import Refused, SocketOptions

DICTIONARY_METHOD: Final = "network.bsky.jetstream.getZstdDictionary"

OLDEST: Final = 1_000_000_000_000_000
"""As a cursor of v2, the least that is taken for a time in µs: it is clamped up to the oldest event held."""


class JetstreamV1Source(LiveSource):
    """Jetstream v1. The cursor is the greatest `time_us` read, never ahead of the clock.

    `time_us` steps back by some ms, so a new connection begins `overlap` seconds before the cursor; what repeats is
    told by its identity downstream. A host clamps a cursor that is too old without a word: a first event more than
    `gap_after` seconds beyond the cursor is said as the gap `cursor_clamped`.
    """

    def __init__(
        self,
        host: str,
        *,
        overlap: float = 5.0,
        gap_after: float = 60.0,
        dictionary: bytes | None = None,
        score: Scorer | None = None,
        options: SocketOptions | None = None,
        now: Callable[[], int] = system_clock,
        random: Random | None = None,
    ) -> None:
        """`dictionary` is the host's zstd dictionary; with it frames are asked for compressed."""
        super().__init__("jetstream1", host, score=score, options=options, now=now, random=random)
        self._overlap = round(overlap * 1_000_000)
        self._gap_after = round(gap_after * 1_000_000)
        self._inflate = Inflate(dictionary, self._options.max_frame_bytes)

    @property
    def _cursor(self) -> int | None:
        return self._newest

    def _begin(self, cursor: int | None, since: int | None) -> None:
        self._newest = since if cursor is None else cursor
        self._first = False
        self._skip = 0

    def _address(self) -> str:
        query = [("wantedCollections", collection) for collection in records.COLLECTIONS]
        if self._inflate.dictionary_id is not None:
            query.append(("compress", "true"))
        if self._newest is not None:
            query.append(("cursor", str(self._newest + (self._skip or -self._overlap))))
        return f"{self._url}/subscribe?{urlencode(query)}"

    def _frame(self, frame: bytes, into: Delivery) -> None:
        try:
            line = self._inflate(frame)
        except MalformedError as error:
            into.frames += 1
            into.operations += 1
            reject(into, self._reading, error, self._newest or 0, len(frame))
            return
        t = decode_line(line, self._reading, into, self._newest or 0)
        if t is None:
            return
        newest = self._newest
        if self._skip and newest is not None and t > newest:
            self._say(into, Gap(newest, t, STEPPED_OVER))
        elif self._first and newest is not None and t > newest + self._gap_after:
            self._say(into, Gap(newest, t, "cursor_clamped"))
        self._first = False
        self._skip = 0
        # One wrong clock upstream must not move the cursor to where the stream has yet to come.
        self._newest = max(newest or 0, min(t, self._now()))

    def _connected(self) -> None:
        self._first = True

    def _refused(self, refusal: Refused) -> None:
        """Nothing to do but to try again: v1 refuses no cursor."""

    def _unread(self) -> None:
        """Nothing follows from it: v1 has no seq."""

    def _step_over(self) -> None:
        self._skip = self._skip * 2 or 1_000


class JetstreamV2Source(SequencedSource):
    """Jetstream v2. The cursor is the last seq read; the host gives it again, and it is told as a repeat downstream.

    Gaps: `cursor_too_old` where the host refuses the cursor (what it still holds is read from its oldest on),
    `outdated_cursor` where it clamps one, `seq_reset` where its seqs began anew.
    """

    def __init__(
        self,
        host: str,
        *,
        overlap: float = 5.0,
        compress: bool = False,
        score: Scorer | None = None,
        options: SocketOptions | None = None,
        now: Callable[[], int] = system_clock,
        random: Random | None = None,
    ) -> None:
        """`overlap`, seconds, is read again where a time stands for the cursor.

        `compress` asks for frames compressed with the host's own zstd dictionary, where it has one to download.
        """
        super().__init__("jetstream2", host, score=score, options=options, now=now, random=random)
        self._compress = compress
        self._inflate = Inflate(None, self._options.max_frame_bytes)
        self._overlap = round(overlap * 1_000_000)
        self._too_old = False

    async def deliveries(self, cursor: int | None, *, since: int | None = None) -> AsyncIterator[Delivery]:
        """Yield deliveries, as every live source does, after the dictionary was downloaded where one is wanted."""
        if self._compress and self._inflate.dictionary_id is None:
            dictionary = await download(f"{self._url}/xrpc/{DICTIONARY_METHOD}", self._options.open_timeout)
            self._inflate = Inflate(dictionary, self._options.max_frame_bytes)
        async with aclosing(cast("AsyncGenerator[Delivery]", super().deliveries(cursor, since=since))) as deliveries:
            async for delivery in deliveries:
                yield delivery

    @property
    def _dense(self) -> bool:
        return False  # only some collections are asked for, and the others have seqs as well

    def _address(self) -> str:
        query = [("collections", collection) for collection in records.COLLECTIONS]
        if self._inflate.dictionary_id is not None:
            query.append(("zstdDictionary", str(self._inflate.dictionary_id)))
        wire = self._continuity.wire
        if self._too_old or (self._continuity.cursor is None and self._continuity.t):
            query.append(("cursor", str(max(OLDEST, self._continuity.t - self._overlap))))
        elif wire is not None:
            query.append(("cursor", str(wire + self._skip)))
        return f"{self._url}/xrpc/{jetstream2.METHOD}?{urlencode(query)}"

    def _decode(self, frame: bytes, into: Delivery) -> Mark | Notice | None:
        position = self._continuity.seq or 0
        try:
            message = self._inflate(frame)
        except MalformedError as error:
            into.frames += 1
            into.operations += 1
            reject(into, self._reading, error, position, len(frame))
            return None
        place = jetstream2.decode_message(message, self._reading, into, position)
        if isinstance(place, Mark):
            self._too_old = False
        return place

    def _noticed(self, said: Notice) -> None:
        if said.name == "OutdatedCursor" and self._continuity.cause is None:
            self._continuity.cause = "outdated_cursor"

    def _refused(self, refusal: Refused) -> None:
        name = _error_name(refusal.body)
        if name == "CursorTooOld":
            self.stats.notices["CursorTooOld"] += 1
            self._continuity.cause = "cursor_too_old"
            self._too_old = True
        elif name == "UnknownZstdDictionary":
            self.stats.notices["UnknownZstdDictionary"] += 1
            self._inflate.dictionary_id = None


def _error_name(body: bytes) -> str | None:
    """Return the `error` of an XRPC error body, None where it is not one."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    name = document.get("error") if type(document) is dict else None
    return name if type(name) is str else None
