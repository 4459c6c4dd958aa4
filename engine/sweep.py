"""One pass over the agents in chunks that stay in cache, on all cores.

Results come back in the order of the chunks whoever finished first, so that the same state gives the same bits.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import local
from typing import TypeVar

import torch

from engine.state import Scratch, State

T = TypeVar("T")

CPU_CHUNK = 1 << 15
"""Agents per chunk on a CPU: a float64 row is 256 KiB, and torch does not split it among threads of its own."""
DEVICE_CHUNK = 1 << 24
"""Agents per chunk on an accelerator: few launches, bounded scratch."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The agents from `start` to `stop`, as they are and, where there is one, in the preceding window."""

    start: int
    stop: int
    now: State
    before: State | None


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Calls a function for every chunk of the same agents' states."""

    state: State
    preceding: State | None
    chunk: int
    pool: ThreadPoolExecutor | None
    _buffers: local = field(default_factory=local)

    def each(self, work: Callable[[Chunk], T], *, lead: bool = False) -> list[T]:
        """Call `work` for each chunk, once at least, and give what it returned in the order of chunks.

        With `lead` the first chunk is done before any other begins.
        """
        n = self.state.n
        bounds = [(start, min(start + self.chunk, n)) for start in range(0, max(n, 1), self.chunk)]
        if self.pool is None or len(bounds) == 1:
            return [work(self._chunk(*bound)) for bound in bounds]
        done = [work(self._chunk(*bounds.pop(0)))] if lead else []
        return done + list(self.pool.map(lambda bound: work(self._chunk(*bound)), bounds))

    def _chunk(self, start: int, stop: int) -> Chunk:
        before = None if self.preceding is None else self.preceding.part(start, stop, self._scratch("before"))
        return Chunk(start, stop, self.state.part(start, stop, self._scratch("now")), before)

    def _scratch(self, name: str) -> Scratch:
        scratch: Scratch = self._buffers.__dict__.setdefault(name, {})
        return scratch


@contextmanager
def sweeper(state: State, preceding: State | None) -> Iterator[Sweeper]:
    """Give a sweeper over these states, which hold the same agents, with as many threads as torch has.

    Within the block torch itself works on one thread; both end with it.
    """
    if state.device.type != "cpu":
        yield Sweeper(state, preceding, DEVICE_CHUNK, None)
        return
    threads = torch.get_num_threads()
    # torch's own threads meet at a barrier in every operation; on short rows that costs more than the work.
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="sweep") as pool:
            yield Sweeper(state, preceding, CPU_CHUNK, pool)
    finally:
        torch.set_num_threads(threads)
