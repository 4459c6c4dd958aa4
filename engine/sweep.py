"""One pass over the agents in chunks that stay in cache, on all cores.

Results come back in the order of the chunks whoever finished first, so that the same state gives the same bits.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")

CPU_CHUNK = 1 << 15
"""Agents per chunk on a CPU: a float64 row is 256 KiB, and torch does not split it among threads of its own."""
DEVICE_CHUNK = 1 << 24
"""Agents per chunk on an accelerator: few launches, bounded scratch."""

Sweep = Callable[[int, Callable[[int, int], T]], list[T]]


@contextmanager
def sweeper(device: torch.device) -> Iterator["Sweeper"]:
    """Give a sweeper for states on this device; its threads end with the block."""
    if device.type != "cpu":
        yield Sweeper(DEVICE_CHUNK, None)
        return
    with ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="sweep") as pool:
        yield Sweeper(CPU_CHUNK, pool)


class Sweeper:
    """Calls a function for every chunk of [0, n)."""

    def __init__(self, chunk: int, pool: ThreadPoolExecutor | None) -> None:
        self._chunk = chunk
        self._pool = pool

    def over(self, n: int, work: Callable[[int, int], T]) -> list[T]:
        """Call `work(start, stop)` for each chunk, once at least, and give what it returned in order."""
        bounds = [(start, min(start + self._chunk, n)) for start in range(0, max(n, 1), self._chunk)]
        if self._pool is None or len(bounds) == 1:
            return [work(start, stop) for start, stop in bounds]
        return list(self._pool.map(lambda bound: work(*bound), bounds))
