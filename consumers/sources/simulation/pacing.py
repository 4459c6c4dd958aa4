"""The pace at which simulated time passes, by a clock that is passed in."""

from collections.abc import Awaitable, Callable, Iterator

import numpy as np

from consumers.sources.simulation.network import Chunk

_SLICE_S = 0.2
"""Lines are released in slices of this much real time."""
_MOST_LINES = 500


class Pace:
    """Simulated time passes from `origin`, µs, at `speed` times real time; None: as fast as lines are taken."""

    def __init__(
        self,
        origin: int,
        speed: float | None,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._origin = origin
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._began = clock()

    def cuts(self, chunk: Chunk) -> Iterator[int]:
        """Yield the ends of the slices in which a chunk's lines are released."""
        count = len(chunk.lines)
        ends = set(range(_MOST_LINES, count, _MOST_LINES)) | {count}
        if self._speed is not None and count:
            step = max(int(_SLICE_S * self._speed * 1_000_000), 1)
            bounds = np.arange(chunk.moments[0] + step, chunk.moments[-1], step)
            ends.update(np.searchsorted(chunk.moments, bounds).tolist())
        yield from sorted(ends - {0})

    async def reach(self, moment: int) -> None:
        """Return once simulated time has come to `moment`, µs; always lets other tasks run."""
        wait = 0.0
        if self._speed is not None:
            wait = (moment - self._origin) / 1_000_000 / self._speed - (self._clock() - self._began)
        await self._sleep(max(wait, 0.0))
