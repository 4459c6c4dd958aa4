"""What ties windows, offsets and what the daemon carries to one moment, and which of the saved moments is of use."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from consumers.windows.group import Image, Windows
from consumers.windows.shape import SECOND, Shape
from consumers.worker.checkpoints import Checkpoint, Checkpoints
from consumers.worker.form import CheckpointError


class AnotherLogError(CheckpointError):
    """A checkpoint that is of another log."""


async def _nothing_to_settle() -> None:
    """Stand for others that have nothing to find out."""


@dataclass(slots=True, frozen=True)
class Saving:
    """Where and how often, in µs, checkpoints are written; `dump` and `load` are for what of others goes into them.

    Both are by partition. `load` gets nothing where no checkpoint is of use.
    """

    checkpoints: Checkpoints
    every: int = 30 * SECOND
    dump: Callable[[], Mapping[int, Image]] = dict
    load: Callable[[Mapping[int, Image]], None] = lambda _images: None
    settle: Callable[[], Awaitable[None]] = _nothing_to_settle
    """Called once before the first checkpoint: others find out what none that was loaded told them."""
    patience: int = 300 * SECOND
    """Reading one back takes no longer, µs."""

    def save(self, windows: Windows, offsets: Mapping[int, int], now: int, *, alone: bool = False) -> None:
        """Save the windows that hold all records before `offsets`; `alone`: no older one stays. CheckpointError."""
        common, images = windows.dump()
        self.checkpoints.save(Checkpoint(common, dict(offsets), images, dict(self.dump())), now, alone=alone)

    def restore(
        self, shape: Shape, ends: Mapping[int, int], partitions: Collection[int]
    ) -> tuple[Windows, dict[int, int]] | None:
        """Return the newest windows that are of use and the offsets that they go on from; None where none are.

        A checkpoint is of use to all ranks or to none.
        """
        for checkpoint in self.checkpoints.load(partitions):
            try:
                windows = self.checkpoints.together("be used", partial(self._use, checkpoint, shape, ends, partitions))
            except CheckpointError as error:
                self.checkpoints.reject(self.checkpoints.place.url, error)
                if isinstance(error, AnotherLogError):
                    break  # and so are those before it
            else:
                return windows, {partition: checkpoint.offsets[partition] for partition in partitions}
        self.load({})
        return None

    def _use(
        self, checkpoint: Checkpoint, shape: Shape, ends: Mapping[int, int], partitions: Collection[int]
    ) -> Windows:
        """Load what a checkpoint has of these partitions. Raises where it is not of this log."""
        offsets = checkpoint.offsets
        if offsets.keys() != ends.keys() or not offsets.keys() >= set(partitions):
            raise CheckpointError(f"it is of partitions {sorted(offsets)}, and now they are {sorted(ends)}")
        if any(offset > ends[partition] for partition, offset in offsets.items()):
            raise AnotherLogError("it is ahead of the log, so it is of another log or of one that lost its end")
        windows = Windows.load(shape, checkpoint.common, checkpoint.images, peers=self.checkpoints.peers)
        self.load(checkpoint.carried)
        return windows
