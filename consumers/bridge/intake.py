"""Between a source and the bridge: a bounded queue, so that a log that is slow stops the reading of the source."""

import asyncio
from contextlib import aclosing
from typing import Final, Self

from consumers.sources import Delivery, Source

_QUEUED_DELIVERIES: Final = 16
_BATCH_EVENTS: Final = 5_000


class Intake:
    """Reads a source from a cursor while the bridge appends. Leaving it ends the reading."""

    def __init__(self, source: Source, cursor: int | None, stop: asyncio.Event) -> None:
        self._source, self._cursor, self._stop = source, cursor, stop
        self._queue: asyncio.Queue[Delivery | None] = asyncio.Queue(_QUEUED_DELIVERIES)

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        self._stopping = asyncio.create_task(self._stop.wait())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._reading.cancel()
        self._stopping.cancel()
        await asyncio.gather(self._reading, self._stopping, return_exceptions=True)

    async def _read(self) -> None:
        """Read the source into the queue; None says that it ended, well or not."""
        try:
            async with aclosing(self._source.deliveries(self._cursor)) as deliveries:  # type: ignore[type-var]
                async for delivery in deliveries:
                    await self._queue.put(delivery)
        except asyncio.CancelledError:
            raise
        except BaseException:
            await self._queue.put(None)
            raise
        await self._queue.put(None)

    async def take(self, patience: float | None) -> list[Delivery] | None:
        """Return what waits, up to a batch, or nothing after `patience` seconds; None once source or bridge ends.

        After `stop` what was read already is still returned. Raises what the source raised, after its last delivery.
        """
        if self._queue.empty() and not self._stopping.done():
            getting = asyncio.create_task(self._queue.get())
            await asyncio.wait({getting, self._stopping}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                return []
            return await self._batch(getting.result())
        if self._stopping.done():
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            if self._queue.empty():
                return None
        return await self._batch(self._queue.get_nowait())

    async def _batch(self, first: Delivery | None) -> list[Delivery] | None:
        """Return a delivery with those that wait behind it, up to a batch."""
        if first is None:
            if not self._stopping.done():
                await self._reading
            return None
        batch = [first]
        size = len(first.events)
        while size < _BATCH_EVENTS and not self._queue.empty():
            further = self._queue.get_nowait()
            if further is None:
                self._queue.put_nowait(None)
                break
            batch.append(further)
            size += len(further.events)
        return batch
