"""Frames that a Jetstream compresses with zstd and a dictionary of its own."""

from typing import Final

import aiohttp
import structlog
import zstandard

from consumers.sources import SourceError
from consumers.sources.decoding.reading import MalformedError
from consumers.sources.files import ZSTD_MAGIC

log = structlog.get_logger()

MAX_DICTIONARY_BYTES: Final = 4 << 20


class Inflate:
    """Frames compressed with zstd, as both Jetstreams offer them with a dictionary; others are left as they are."""

    def __init__(self, dictionary: bytes | None, limit: int) -> None:
        """Raises `SourceError` where `dictionary` is not a zstd dictionary."""
        self._limit = limit
        try:
            trained = (
                zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_FULLDICT)
                if dictionary
                else None
            )
            self._decompressor = zstandard.ZstdDecompressor(dict_data=trained)
        except zstandard.ZstdError as error:
            raise SourceError(
                f"The zstd dictionary cannot be used ({error}); download the host's own again."
            ) from error
        self.dictionary_id = trained.dict_id() if trained is not None else None

    def __call__(self, frame: bytes) -> bytes:
        """Return the frame as JSON. Raises `MalformedError`."""
        if not frame.startswith(ZSTD_MAGIC):
            return frame
        try:
            if zstandard.frame_content_size(frame) > self._limit:
                raise MalformedError("oversize_frame", "a compressed frame over the limit")
            return self._decompressor.decompress(frame, max_output_size=self._limit)
        except zstandard.ZstdError as error:
            raise MalformedError("undecompressable", "not a zstd frame of this dictionary") from error


async def download(url: str, patience: float) -> bytes | None:
    """Return the zstd dictionary at a websocket host's `url`; None, said in the log, where there is none to use."""
    try:
        timeout = aiohttp.ClientTimeout(total=patience)
        async with (
            aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
            session.get(f"http{url.removeprefix('ws')}") as response,
        ):
            dictionary = await response.content.read(MAX_DICTIONARY_BYTES)
            while len(dictionary) < MAX_DICTIONARY_BYTES and (more := await response.content.read(1 << 16)):
                dictionary += more
        Inflate(dictionary, MAX_DICTIONARY_BYTES)
    except (aiohttp.ClientError, TimeoutError, SourceError) as error:
        log.warning("source_uncompressed", url=url, cause=str(error) or type(error).__name__)
        return None
    return dictionary
