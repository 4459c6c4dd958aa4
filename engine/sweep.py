"""One pass over the agents in chunks that stay in cache, on all cores.

Who does which chunk is fixed and results come back in the order of chunks, so that the same state gives the same bits.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from engine.state import Scratch, State

if TYPE_CHECKING:
    from engine.fusion import Fusion

T = TypeVar("T")

CPU_CHUNK = 1 << 15
"""Agents per chunk on a CPU: a float64 row is 256 KiB, and torch does not split it among threads of its own."""
DEVICE_CHUNK = 1 << 24
"""Agents per chunk on an accelerator: few launches, bounded scratch."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The agents from `start` to `stop`, as they are and, where there is one, in the preceding window.

    A `worker` does its chunks one after the other, always the same for as many workers.
    """

    start: int
    stop: int
    now: State
    before: State | None
    worker: int = 0
    agents: Tensor | None = None
    """Who they are, int64 in rising order, where they are not those from `start` to `stop`."""

    def indices(self, within: Tensor) -> Tensor:
        """Among all agents, those at these places of the chunk."""
        return within + self.start if self.agents is None else self.agents[within]

    def place(self, agent: int) -> int | None:
        """Where in the chunk an agent is, None where it is not."""
        if self.agents is None:
            return agent - self.start if self.start <= agent < self.stop else None
        found = (self.agents == agent).nonzero()
        return int(found[0]) if len(found) else None


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Calls a function for every chunk of the same agents' states."""

    state: State
    preceding: State | None
    chunk: int
    workers: int
    pool: ThreadPoolExecutor | None
    fusion: "Fusion | None" = None
    _buffers: dict[tuple[int, str], Scratch] = field(default_factory=dict)

    def each(self, work: Callable[[Chunk], T]) -> list[T]:
        """Call `work` for each chunk, once at least, and give what it returned in the order of chunks."""
        n = self.state.n
        bounds = [(start, min(start + self.chunk, n)) for start in range(0, max(n, 1), self.chunk)]
        results: dict[int, T] = {}

        def share(worker: int) -> None:
            for start, stop in bounds[worker :: self.workers]:
                results[start] = work(self._chunk(start, stop, worker))

        if self.pool is None or len(bounds) == 1:
            for worker in range(self.workers):
                share(worker)
        else:
            list(self.pool.map(share, range(self.workers)))
        return [results[start] for start, _ in bounds]

    @contextmanager
    def all_threads(self) -> Iterator[None]:
        """Let torch itself work on all threads, for what is one loop over all agents."""
        if self.pool is None:
            yield
            return
        torch.set_num_threads(self.workers)
        try:
            yield
        finally:
            torch.set_num_threads(1)

    def _chunk(self, start: int, stop: int, worker: int) -> Chunk:
        now = self.state.part(start, stop, self._scratch(worker, "now"))
        if self.preceding is None:
            return Chunk(start, stop, now, None, worker)
        return Chunk(start, stop, now, self.preceding.part(start, stop, self._scratch(worker, "before")), worker)

    def _scratch(self, worker: int, name: str) -> Scratch:
        return self._buffers.setdefault((worker, name), {})


@contextmanager
def sweeper(state: State, preceding: State | None, fusion: "Fusion | None" = None) -> Iterator[Sweeper]:
    """Give a sweeper over these states, which hold the same agents, with as many threads as torch has.

    Within the block torch itself works on one thread; both end with it.
    """
    if state.device.type != "cpu":
        yield Sweeper(state, preceding, DEVICE_CHUNK, 1, None, fusion)
        return
    threads = torch.get_num_threads()
    # torch's own threads meet at a barrier in every operation; on short rows that costs more than the work.
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="sweep") as pool:
            yield Sweeper(state, preceding, CPU_CHUNK, threads, pool, fusion)
    finally:
        torch.set_num_threads(threads)
