"""One pass over the agents in chunks that stay in cache; within each operation torch itself works on all cores.

Chunks come one after the other and results in their order, so that the same state gives the same bits on a machine.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from engine.state import Scratch, State

if TYPE_CHECKING:
    from engine.fusion import Fusion

T = TypeVar("T")

_GRAIN = 1 << 15
"""Agents for each thread and operation: torch gives no thread less, and a float64 row of so many is 256 KiB."""
_LEAST = 1 << 17
"""Agents per chunk on a CPU at least: fewer cost more in calls than in work."""
_DEVICE_CHUNK = 1 << 24
"""Agents per chunk on an accelerator: few launches, bounded scratch."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The agents from `start` to `stop`, as they are and, where there is one, in the preceding window."""

    start: int
    stop: int
    now: State
    before: State | None
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
    """Calls a function for every chunk of the same agents' states; what a chunk derives lives until the next."""

    state: State
    preceding: State | None
    fusion: "Fusion | None" = None
    _now: Scratch = field(default_factory=dict)
    _before: Scratch = field(default_factory=dict)

    def each(self, work: Callable[[Chunk], T]) -> list[T]:
        """Call `work` for each chunk, once at least, and give what it returned in the order of chunks."""
        n, size = self.state.n, chunk_size(self.state.device)
        return [work(self._chunk(start, min(start + size, n))) for start in range(0, max(n, 1), size)]

    def _chunk(self, start: int, stop: int) -> Chunk:
        before = None if self.preceding is None else self.preceding.part(start, stop, self._before)
        return Chunk(start, stop, self.state.part(start, stop, self._now), before)


def chunk_size(device: torch.device) -> int:
    """How many agents a chunk has."""
    return max(_LEAST, _GRAIN * torch.get_num_threads()) if device.type == "cpu" else _DEVICE_CHUNK
