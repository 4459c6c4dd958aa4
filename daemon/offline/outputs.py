"""Files written whole or not at all: under another name first, compressed as the name's ending says."""

import contextlib
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import zstandard

from daemon.errors import OutputError


def check_writable(path: Path) -> None:
    """Refuse, before any work is done, an output path that cannot be written."""
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no directory {path.parent}; create it first")
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a directory; name a file in it")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path} cannot be written: the directory {path.parent} does not allow it")


@contextlib.contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name when all of it is written; `.gz` and `.zst` are compressed."""
    check_writable(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with _compressed(partial, path.suffix) as stream:
            yield stream
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _compressed(path: Path, suffix: str) -> Iterator[IO[bytes]]:
    with path.open("wb") as raw:
        if suffix == ".gz":
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as zipped:
                yield cast("IO[bytes]", zipped)
        elif suffix == ".zst":
            with zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False) as packed:
                yield cast("IO[bytes]", packed)
        else:
            yield raw
