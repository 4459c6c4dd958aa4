"""Ranks that are threads of this process, each with an event loop of its own; what they exchange is copied."""

import asyncio
import pickle
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from consumers.peers import Peers

T = TypeVar("T")


@dataclass
class _Table:
    size: int
    laid: list[bytes] = field(init=False)
    barrier: threading.Barrier = field(init=False)

    def __post_init__(self) -> None:
        self.laid = [b""] * self.size
        self.barrier = threading.Barrier(self.size, timeout=60)


@dataclass
class Seat:
    """One rank's place: `Peers` that meets the others at every step."""

    rank: int
    table: _Table
    pause: float = 0.0

    @property
    def size(self) -> int:
        return self.table.size

    def exchange(self, value: T) -> list[T]:
        self.table.laid[self.rank] = pickle.dumps(value)
        self.table.barrier.wait()
        everyone = [pickle.loads(each) for each in self.table.laid]
        self.table.barrier.wait()
        return everyone

    async def meet(self, value: T) -> list[T]:
        return await asyncio.to_thread(self.exchange, value)


def together(size: int, work: Callable[[Peers], T]) -> list[T]:
    """Do the work of each rank, all at once; give what each returned."""
    table = _Table(size)

    def rank(number: int) -> T:
        try:
            return work(Seat(number, table))
        except BaseException:
            table.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(rank, range(size)))


def at_once(size: int, work: Callable[[Peers], Coroutine[Any, Any, T]]) -> list[T]:
    """The same for work that is asynchronous."""
    return together(size, lambda peers: asyncio.run(work(peers)))
