"""Checkpoints: the windows of all partitions at one moment, with what else must agree with them.

A checkpoint is a directory: one file for each partition, one for each blob, and a manifest with the size and SHA-256
of each, written last. It is made under another name and renamed when all of it is on the disk, so a checkpoint
either is whole or is not there. The newest two are kept; one that is damaged, or was made with other windows, is
passed over with an error in the log. What is left to do then is to rebuild from the log, never to start from nothing.

An older checkpoint may name who was erased since. Then it goes at once, and a copy of the new one takes its place.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import orjson
import structlog
from numpy.typing import NDArray

from consumers.windows.group import Image

VERSION = 1
KEPT = 2
_MANIFEST = "manifest.json"
_MAGIC = b"starlingd-state-1\n"
_logger = structlog.get_logger(__name__)


class CheckpointError(Exception):
    """A checkpoint that cannot be read or written; the message is one sentence."""


@dataclass(slots=True)
class Checkpoint:
    """One moment: `common` and `blobs` are the callers' own, `images` are by partition."""

    common: dict[str, Any]
    images: dict[int, Image]
    blobs: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class CheckpointStats:
    """What was written and what could not be read back."""

    saved: int = 0
    bytes: int = 0
    seconds: float = 0.0
    damaged: int = 0
    saved_at: int | None = None
    """When the newest one was saved, µs by the caller's clock."""


class Checkpoints:
    """Checkpoints in one directory, of windows that agree on `fingerprint`."""

    def __init__(self, directory: Path, fingerprint: Mapping[str, Any]) -> None:
        self.directory = directory
        self.stats = CheckpointStats()
        self._fingerprint = dict(fingerprint)

    def save(self, checkpoint: Checkpoint, now: int, *, alone: bool = False) -> Path:
        """Write a checkpoint durably, then drop all but the newest two. Raises CheckpointError.

        With `alone` no older one stays: the second is then the same moment once more, against damage.
        """
        began = perf_counter()
        number = max(self._numbers(), default=0) + 1
        place = self.directory / f"{number:012d}"
        partial = self.directory / f".{number:012d}.partial"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            size = self._write(partial, checkpoint)
            partial.rename(place)
            _sync(self.directory)
            self._tidy(1 if alone else KEPT)
            if alone and number > 1:
                place = self._repeat(place, number + 1)
        except OSError as error:
            raise CheckpointError(
                f"The checkpoint {place} cannot be written ({error.strerror}): make room, or give another directory."
            ) from error
        self.stats.saved += 1
        self.stats.bytes = size
        self.stats.seconds = perf_counter() - began
        self.stats.saved_at = now
        return place

    def load(self) -> Iterator[Checkpoint]:
        """Yield the checkpoints that are whole and fit, newest first; say loudly why another is not."""
        for number in sorted(self._numbers(), reverse=True):
            place = self.directory / f"{number:012d}"
            try:
                yield self._read(place)
            except (CheckpointError, OSError, ValueError, KeyError, TypeError) as error:
                self.reject(place, error)

    def reject(self, place: Path, error: Exception) -> None:
        """Say that a checkpoint is of no use."""
        self.stats.damaged += 1
        _logger.error("checkpoint passed over", path=str(place), error=str(error) or repr(error))

    def _numbers(self) -> list[int]:
        if not self.directory.is_dir():
            return []
        return [int(entry.name) for entry in self.directory.iterdir() if entry.name.isdecimal()]

    def _repeat(self, place: Path, number: int) -> Path:
        """Copy a checkpoint durably under a number of its own."""
        copy, partial = self.directory / f"{number:012d}", self.directory / f".{number:012d}.partial"
        partial.mkdir()
        for file in place.iterdir():
            shutil.copyfile(file, partial / file.name)
            _sync(partial / file.name)
        _sync(partial)
        partial.rename(copy)
        _sync(self.directory)
        return copy

    def _tidy(self, kept: int) -> None:
        for number in sorted(self._numbers())[:-kept]:
            shutil.rmtree(self.directory / f"{number:012d}")
        for left in self.directory.glob(".*.partial"):
            shutil.rmtree(left)

    def _write(self, into: Path, checkpoint: Checkpoint) -> int:
        files = {}
        for partition, image in checkpoint.images.items():
            name = f"partition-{partition:05d}.state"
            files[name] = {"partition": partition, **_store(into / name, _pieces(image))}
        for key, blob in checkpoint.blobs.items():
            files[f"{key}.blob"] = {"blob": key, **_store(into / f"{key}.blob", [blob])}
        manifest = {
            "v": VERSION,
            "fingerprint": self._fingerprint,
            "common": checkpoint.common,
            "files": files,
        }
        body = orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)
        seal = hashlib.sha256(body).hexdigest().encode()
        files[_MANIFEST] = _store(into / _MANIFEST, [seal, b"\n", body])
        _sync(into)
        return sum(int(entry["size"]) for entry in files.values())

    def _read(self, place: Path) -> Checkpoint:
        seal, _, body = (place / _MANIFEST).read_bytes().partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != seal:
            raise CheckpointError("its manifest is damaged")
        manifest = orjson.loads(body)
        if manifest["v"] != VERSION:
            raise CheckpointError(f"its version is {manifest['v']}, and this is {VERSION}")
        if manifest["fingerprint"] != self._fingerprint:
            raise CheckpointError(f"it was made with {manifest['fingerprint']}, and now it is {self._fingerprint}")
        checkpoint = Checkpoint(manifest["common"], {})
        for name, entry in manifest["files"].items():
            content = (place / name).read_bytes()
            if len(content) != entry["size"] or hashlib.sha256(content).hexdigest() != entry["sha256"]:
                raise CheckpointError(f"its file {name} is damaged")
            if "blob" in entry:
                checkpoint.blobs[entry["blob"]] = content
            else:
                checkpoint.images[entry["partition"]] = _image(content)
        return checkpoint


def _pieces(image: Image) -> list[bytes | memoryview]:
    """Return an image as bytes: a line that says what it is, a line of JSON, and the arrays one after another."""
    plain, arrays = image
    ordered = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    forms = [[name, array.dtype.str, array.shape] for name, array in ordered.items()]
    head = orjson.dumps({"plain": plain, "arrays": forms})
    return [_MAGIC, head, b"\n", *(array.reshape(-1).view(np.uint8).data for array in ordered.values() if array.size)]


def _image(content: bytes) -> Image:
    magic, head, _ = content[: len(_MAGIC)], *content[len(_MAGIC) :].split(b"\n", 1)
    if magic != _MAGIC:
        raise CheckpointError("one of its files is no state")
    document = orjson.loads(head)
    at = len(_MAGIC) + len(head) + 1
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, form, shape in document["arrays"]:
        dtype = np.dtype(form)
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(content, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return document["plain"], arrays


def _store(path: Path, pieces: list[bytes | memoryview]) -> dict[str, Any]:
    """Write a file, wait for the disk, and return its size and SHA-256."""
    digest = hashlib.sha256()
    size = 0
    with path.open("wb") as file:
        for piece in pieces:
            digest.update(piece)
            size += file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return {"size": size, "sha256": digest.hexdigest()}


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
