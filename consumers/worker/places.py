"""Where checkpoints are kept: a directory, or whatever fsspec has a filesystem for (s3://, gs://, memory://, …).

A file is whole or not there. An object store promises that itself; in a directory a file is written under another
name and renamed when it is on the disk.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

Piece = bytes | memoryview
BLOCK = 1 << 24
"""Bytes read at once."""


class PlaceError(Exception):
    """A place that cannot be; the message is one sentence that says what to change."""


class Place:
    """Files in numbered folders on one of fsspec's filesystems."""

    def __init__(self, files: Any, root: str, url: str) -> None:
        self.url = url
        self._files, self._root = files, root

    def folders(self) -> dict[int, dict[str, int]]:
        """Return the files in each numbered folder, with their sizes. A place that is not there has none."""
        found: dict[int, dict[str, int]] = {}
        for entry in self._list(self._root):
            name = _last(entry["name"])
            if entry["type"] == "directory" and name.isdecimal():
                inside = self._list(entry["name"])
                found[int(name)] = {_last(file["name"]): file["size"] for file in inside if file["type"] == "file"}
        return found

    def write(self, number: int, name: str, pieces: Sequence[Piece]) -> None:
        """Write a file; it is durable when this returns."""
        with self._files.open(self._path(number, name), "wb") as file:
            for piece in pieces:
                file.write(piece)

    def read(self, number: int, name: str, told: Callable[[int], None]) -> bytes:
        """Return a file's content; `told` hears of the bytes as they come."""
        blocks = []
        with self._files.open(self._path(number, name), "rb", block_size=BLOCK) as file:
            while block := file.read(BLOCK):
                blocks.append(block)
                told(len(block))
        return b"".join(blocks)

    def remove(self, number: int, names: Sequence[str]) -> None:
        """Remove a folder and its files, in this order."""
        for name in names:
            self._files.rm_file(self._path(number, name))
        if self._files.isdir(folder := self._path(number)):
            self._files.rm(folder, recursive=True)

    def _list(self, path: str) -> list[dict[str, Any]]:
        try:
            listed: list[dict[str, Any]] = self._files.ls(path, detail=True, refresh=True)
        except FileNotFoundError:
            return []
        return listed

    def _path(self, number: int, *name: str) -> str:
        return "/".join((self._root, f"{number:012d}", *name))


class Directory(Place):
    """The same on a disk of this machine."""

    def write(self, number: int, name: str, pieces: Sequence[Piece]) -> None:
        """Write a file, wait for the disk, and only then give it its name."""
        folder = Path(self._path(number))
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)  # another rank may be as far
            _sync(folder.parent)
        partial = folder / f".{name}.partial"
        with partial.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / name)
        _sync(folder)


def open_place(url: str | Path) -> Place:
    """Return the place that a path or a URL names. Raises PlaceError where this machine cannot get there."""
    url = str(url)
    try:
        files, root = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise PlaceError(f"{url} needs a Python package that is not there: {error}") from error
    except ValueError as error:
        raise PlaceError(f"{url} is no place that fsspec knows ({error}): give a directory or another URL") from error
    return (Directory if isinstance(files, LocalFileSystem) else Place)(files, root.rstrip("/"), url)


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _sync(folder: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
