"""What ties windows, offsets and the daemon's own blobs to one moment, and which of the saved moments is of use now."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from consumers.windows.group import Windows
from consumers.windows.shape import SECOND, Shape
from consumers.worker.checkpoints import Checkpoint, CheckpointError, Checkpoints


class AnotherLogError(CheckpointError):
    """A checkpoint that is of another log."""


async def _nothing_to_settle() -> None:
    """Stand for others that have nothing to find out."""


@dataclass(slots=True, frozen=True)
class Saving:
    """Where and how often, in µs, checkpoints are written; `dump` and `load` are for what of others goes into them."""

    checkpoints: Checkpoints
    every: int = 30 * SECOND
    dump: Callable[[], Mapping[str, bytes]] = dict
    load: Callable[[Mapping[str, bytes]], None] = lambda _blobs: None
    settle: Callable[[], Awaitable[None]] = _nothing_to_settle
    """Called once before the first checkpoint: others find out what none that was loaded told them."""

    def save(self, windows: Windows, offsets: Mapping[int, int], now: int, *, alone: bool = False) -> None:
        """Save the windows that hold all records before `offsets`; `alone`: no older one stays. CheckpointError."""
        common, images = windows.dump()
        moment: dict[str, Any] = {"windows": common, "offsets": {str(key): value for key, value in offsets.items()}}
        self.checkpoints.save(Checkpoint(moment, images, dict(self.dump())), now, alone=alone)

    def restore(
        self, shape: Shape, ends: Mapping[int, int], partitions: Collection[int]
    ) -> tuple[Windows, dict[int, int]] | None:
        """Return the newest windows that are of use and the offsets that they go on from; None where none are."""
        for checkpoint in self.checkpoints.load():
            try:
                offsets = _offsets_of(checkpoint, ends, partitions)
                windows = Windows.load(shape, checkpoint.common["windows"], checkpoint.images)
                self.load(checkpoint.blobs)
            except (CheckpointError, KeyError, TypeError, ValueError, IndexError) as error:
                self.checkpoints.reject(self.checkpoints.directory, error)
                if isinstance(error, AnotherLogError):
                    return None  # and so are those before it
                continue
            return windows, offsets
        return None


def _offsets_of(checkpoint: Checkpoint, ends: Mapping[int, int], partitions: Collection[int]) -> dict[int, int]:
    """Return the offsets of a checkpoint, if they are of this log and these partitions."""
    offsets = {int(key): offset for key, offset in checkpoint.common["offsets"].items()}
    if offsets.keys() != set(partitions):
        raise CheckpointError(f"it is of partitions {sorted(offsets)}, and now they are {sorted(partitions)}")
    if any(offset > ends[partition] for partition, offset in offsets.items()):
        raise AnotherLogError("it is ahead of the log, so it is of another log or of one that lost its end")
    return offsets
