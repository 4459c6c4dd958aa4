"""The bounded queue between a socket and the work on its frames: bounded in frames and in bytes."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FrameQueue(Generic[Item]):
    """One producer, one consumer. An item weighs its bytes; anything else than bytes weighs nothing."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.bytes = 0
        self._items: deque[Item] = deque()
        self._changed = asyncio.Event()
        self._working = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """Tell whether nothing more should come: then the socket is not read."""
        return len(self._items) >= self.max_items or self.bytes >= self.max_bytes

    def put(self, item: Item) -> None:
        """Add an item; the producer waits for `room` first."""
        self._items.append(item)
        self.bytes += _weight(item)
        self._changed.set()

    async def take(self, most: int) -> list[Item]:
        """Return the oldest items, at most so many, waiting for the first. Those taken before are then done with."""
        self._working = False
        self._changed.set()
        while not self._items:
            await self._wait()
        self._working = True
        items = [self._items.popleft() for _ in range(min(most, len(self._items)))]
        self.bytes -= sum(_weight(item) for item in items)
        self._changed.set()
        return items

    async def room(self) -> None:
        """Wait until the queue is not full."""
        while self.full:
            await self._wait()

    async def idle(self) -> None:
        """Wait until all that was put has been taken and is done with."""
        while self._items or self._working:
            await self._wait()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _weight(item: object) -> int:
    return len(item) if isinstance(item, bytes) else 0
