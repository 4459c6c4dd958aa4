"""A worker's checkpoints over its life: one is taken up at the start, in bounded time, and more are saved when due.

That one cannot be saved is said and survived. That the place cannot be read in time is not: it would cost a rebuild.
"""

import asyncio
from collections.abc import Collection, Mapping

import structlog

from consumers.windows.group import Windows
from consumers.windows.shape import FOREVER, SECOND, Shape
from consumers.worker.form import CheckpointError
from consumers.worker.saving import Saving

_logger = structlog.get_logger(__name__)


class RestoreTimeoutError(CheckpointError):
    """A checkpoint that could be neither read nor refused in time; the thread that reads it may never end."""

    overdue = True


class Keeping:
    """Keeps the windows of one worker, off its event loop; without `saving`, nowhere. Times in µs, by its clock."""

    def __init__(self, saving: Saving | None) -> None:
        self._saving = saving
        self._saved_at = -FOREVER
        self._erased_when_saved: int | None = None

    async def restore(
        self, shape: Shape, ends: Mapping[int, int], partitions: Collection[int]
    ) -> tuple[Windows, dict[int, int]] | None:
        """Return the newest windows of use and the offsets that they go on from, None where there are none.

        What else depends on it has then been settled. Raises CheckpointError, RestoreTimeoutError.
        """
        if self._saving is None:
            return None
        patience = self._saving.patience / SECOND
        try:
            async with asyncio.timeout(patience):
                restored = await asyncio.to_thread(self._saving.restore, shape, ends, partitions)
        except TimeoutError:
            stats = self._saving.checkpoints.stats
            raise RestoreTimeoutError(
                f"after {patience:g} s, {stats.read} of {stats.to_read} bytes of the checkpoint were there: see what "
                "holds up its store, or raise checkpoints.patience"
            ) from None
        await self._saving.settle()
        return restored

    def begin(self, now: int) -> None:
        """Count from now on until it is time to save."""
        self._saved_at = now

    def due(self, now: int) -> bool:
        """Tell whether it is time to save."""
        return self._saving is not None and now - self._saved_at >= self._saving.every

    async def save(self, windows: Windows, offsets: Mapping[int, int], now: int) -> bool:
        """Save the windows that hold all records before `offsets`; tell whether what was to be saved is.

        A disk that fails is said; the checkpoint before still stands.
        """
        if self._saving is None:
            return True
        saved, erased = True, windows.stats.erased
        try:
            await asyncio.to_thread(self._saving.save, windows, offsets, now, alone=erased != self._erased_when_saved)
            # What is saved now may name whom the next run buries: then the next checkpoint takes its place.
            self._erased_when_saved = None if windows.burying else erased
        except CheckpointError as error:
            saved = False
            _logger.error("checkpoint failed", error=str(error))  # noqa: TRY400 - the sentence says it all
        self._saved_at = now
        return saved
