"""Checkpoints: the windows of all partitions at one moment, with what else must agree with them.

A checkpoint is a numbered folder: for each partition a file of its windows and one of what the daemon carries from run
to run, and a manifest with the size and SHA-256 of each. The manifest is written last, when all else is durable: a
folder without one is no checkpoint. The newest two are kept; one that is damaged, or was made with other windows, is
passed over with an error in the log. What is left to do then is to rebuild from the log, never to start from nothing.

Ranks write one checkpoint together: each the files of its partitions, the first the manifest, once all have written.

An older checkpoint may name who was erased since. Then it goes at once, and the new one is written twice.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import structlog

from consumers.peers import Alone, Peers
from consumers.windows.group import Image
from consumers.worker.form import CheckpointError, agrees, entry_of, image_of, pieces_of, sealed, unsealed
from consumers.worker.places import Piece, Place, open_place

T = TypeVar("T")

KEPT = 2
PATIENCE = 2.0
"""Seconds after which reading a checkpoint back says how far it is, again and again."""
_MANIFEST = "manifest.json"
_logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Checkpoint:
    """One moment. `common` is the same on every rank; the rest is by partition, each rank's own.

    `offsets` are where the log is read on, of all partitions once it is saved; `carried` is the daemon's own.
    """

    common: dict[str, Any]
    offsets: dict[int, int]
    images: dict[int, Image]
    carried: dict[int, Image] = field(default_factory=dict)


@dataclass(slots=True)
class CheckpointStats:
    """What was written and what could not be read back. Bytes and seconds are of the newest one."""

    saved: int = 0
    bytes: int = 0
    seconds: float = 0.0
    damaged: int = 0
    saved_at: int | None = None
    """When the newest one was saved, µs by the caller's clock."""
    read: int = 0
    to_read: int = 0
    """Bytes of the one that is being read back, and how many of them are there."""


class Checkpoints:
    """Checkpoints at one place, a directory or a URL, of windows that agree on `fingerprint`. Raises PlaceError."""

    def __init__(self, place: str | Path, fingerprint: Mapping[str, Any], peers: Peers | None = None) -> None:
        self.place = open_place(place)
        self.peers: Peers = peers or Alone()
        self.stats = CheckpointStats()
        self._fingerprint = dict(fingerprint)
        self._told_at = 0.0

    def save(self, checkpoint: Checkpoint, now: int, *, alone: bool = False) -> int:
        """Write a checkpoint durably, drop all but the newest two, and return its number. Raises CheckpointError.

        With `alone` no older one stays: the second is then the same moment once more, against damage.
        """
        began = perf_counter()
        folders = self.together("be written", self.place.folders)
        told = self.peers.exchange((max(folders, default=0), alone))
        number, alone = max(number for number, _ in told) + 1, any(wish for _, wish in told)
        size = self._save(number, checkpoint, 1 if alone else KEPT)
        if alone and number > 1:
            number += 1
            size = self._save(number, checkpoint, KEPT)
        self.stats.saved += 1
        self.stats.bytes = size
        self.stats.seconds = perf_counter() - began
        self.stats.saved_at = now
        return number

    def load(self, partitions: Collection[int] | None = None) -> Iterator[Checkpoint]:
        """Yield the checkpoints that are whole and fit, newest first, of these partitions or of all that they hold.

        Says loudly why another is not. Raises CheckpointError where the place cannot be read.
        """
        for number in reversed(self.peers.exchange(self.together("be read", self._whole))[0]):
            try:
                checkpoint = self.together("be read", partial(self._read, number, partitions))
            except CheckpointError as error:
                self.reject(f"{self.place.url}/{number:012d}", error)
            else:
                yield checkpoint

    def reject(self, which: str, error: Exception) -> None:
        """Say that a checkpoint is of no use."""
        self.stats.damaged += 1
        _logger.error("checkpoint passed over", path=which, error=str(error) or repr(error))

    def together(self, doing: str, act: Callable[[], T]) -> T:
        """Do something on every rank and return what it gave here; where one failed, all raise CheckpointError."""
        given: list[T] = []
        failure = None
        try:
            given.append(act())
        except CheckpointError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - each store raises what its library has
            cause = getattr(error, "strerror", None) or str(error) or repr(error)
            failure = CheckpointError(f"Checkpoints in {self.place.url} cannot {doing} ({cause}).")
            failure.__cause__ = error
        for failed in self.peers.exchange(failure):
            if failed is not None:
                raise failed
        return given[0]

    def _whole(self) -> list[int]:
        return sorted(number for number, files in self.place.folders().items() if _MANIFEST in files)

    def _save(self, number: int, checkpoint: Checkpoint, kept: int) -> int:
        """Write everything, then the manifest, then drop the others; return the bytes that this rank wrote."""
        own = self.together("be written", lambda: self._write(number, checkpoint))
        all_of_them = self.peers.exchange((own, checkpoint.offsets))
        self.together("be written", lambda: self._commit(number, checkpoint.common, all_of_them, kept))
        return sum(int(entry["size"]) for entry in own.values())

    def _write(self, number: int, checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
        """Write the files of this rank's partitions; return what the manifest says of them."""
        written = {}
        for kind in ("images", "carried"):
            for partition, image in getattr(checkpoint, kind).items():
                name = f"partition-{partition:05d}.{kind}"
                entry = _store(self.place, number, name, pieces_of(image))
                written[name] = {"partition": partition, "kind": kind, **entry}
        return written

    def _commit(
        self, number: int, common: dict[str, Any], written: Sequence[tuple[dict[str, Any], dict[int, int]]], kept: int
    ) -> None:
        """Write the manifest, which makes it a checkpoint, and drop older ones; only the first rank does."""
        if self.peers.rank:
            return
        files = {name: entry for own, _ in written for name, entry in own.items()}
        there = self.place.folders().get(number, {})
        for name, entry in files.items():
            if there.get(name) != entry["size"]:
                raise CheckpointError(
                    f"{name} of another rank is not in {self.place.url}: set checkpoints.directory to a place that all "
                    "ranks share."
                )
        manifest = {
            "fingerprint": self._fingerprint,
            "common": common,
            "offsets": {str(partition): offset for _, own in written for partition, offset in own.items()},
            "files": files,
        }
        _store(self.place, number, _MANIFEST, sealed(manifest))
        self._tidy(kept)

    def _tidy(self, kept: int) -> None:
        """Drop what is older than the newest `kept`, and what was not finished."""
        newest = self._whole()[-kept:]
        for number, files in self.place.folders().items():
            if number not in newest:
                self.place.remove(number, sorted(files, key=lambda name: name != _MANIFEST))

    def _read(self, number: int, partitions: Collection[int] | None) -> Checkpoint:
        manifest = unsealed(self.place.read(number, _MANIFEST, lambda _: None))
        if manifest["fingerprint"] != self._fingerprint:
            raise CheckpointError(f"it was made with {manifest['fingerprint']}, and now it is {self._fingerprint}")
        offsets = {int(partition): offset for partition, offset in manifest["offsets"].items()}
        wanted = offsets.keys() if partitions is None else set(partitions)
        mine = {name: entry for name, entry in manifest["files"].items() if entry["partition"] in wanted}
        checkpoint = Checkpoint(manifest["common"], offsets, {})
        self.stats.read, self.stats.to_read = 0, sum(entry["size"] for entry in mine.values())
        self._told_at = perf_counter()
        for name, entry in mine.items():
            content = self.place.read(number, name, self._heard)
            if not agrees(content, entry):
                raise CheckpointError(f"its file {name} is damaged")
            getattr(checkpoint, entry["kind"])[entry["partition"]] = image_of(content)
        return checkpoint

    def _heard(self, size: int) -> None:
        """Note that so many bytes came; say so where it takes long."""
        self.stats.read += size
        if perf_counter() - self._told_at >= PATIENCE:
            self._told_at = perf_counter()
            _logger.info("restoring", read=self.stats.read, of=self.stats.to_read, place=self.place.url)


def _store(place: Place, number: int, name: str, pieces: list[Piece]) -> dict[str, Any]:
    """Write a file durably, and return its size and SHA-256."""
    entry = entry_of(pieces)
    place.write(number, name, pieces)
    return entry
