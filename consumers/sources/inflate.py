"""Frames that a Jetstream compresses with zstd and a dictionary of its own."""

import zstandard

from consumers.sources import SourceError
from consumers.sources.decoding.reading import MalformedError
from consumers.sources.files import ZSTD_MAGIC


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
