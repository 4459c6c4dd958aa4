"""One pass over the agents in chunks that stay in cache; within each operation torch itself works on all cores.

Chunks come one after the other and results in their order, so that the same state gives the same bits on a machine.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import torch

from engine.memory import AT_ONCE
from engine.state import Scratch, State

if TYPE_CHECKING:
    from engine.stack import Compiler

T = TypeVar("T")

_MOST, _LEAST = AT_ONCE, 1 << 15
"""Agents per chunk on a CPU: more leave the caches, fewer cost more in calls than in work."""
_NUMBERS = 1 << 22
"""In a chunk's rows, 32 MiB: fewer where _LEAST agents have more."""
_DEVICE_CHUNK = 1 << 24
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
    """Calls a function for every chunk of the same agents' states; what a chunk derives lives until the next."""

    state: State
    preceding: State | None
    compiler: "Compiler | None" = None
    _now: Scratch = field(default_factory=dict)
    _before: Scratch = field(default_factory=dict)

    def each(self, work: Callable[[Chunk], T], height: int) -> list[T]:
        """Call `work`, which makes `height` rows, for each chunk; once at least. Gives its answers in their order."""
        n, size = self.state.n, chunk_size(self.state.device, height)
        return [work(self._chunk(start, min(start + size, n))) for start in range(0, max(n, 1), size)]

    def _chunk(self, start: int, stop: int) -> Chunk:
        before = None if self.preceding is None else self.preceding.part(start, stop, self._before)
        return Chunk(start, stop, self.state.part(start, stop, self._now), before)


def chunk_size(device: torch.device, height: int) -> int:
    """How many agents a chunk has for so many rows: a power of two."""
    if device.type != "cpu":
        return _DEVICE_CHUNK
    return 1 << (max(_LEAST, min(_MOST, _NUMBERS // max(height, 1))).bit_length() - 1)
