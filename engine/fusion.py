"""Fused sweeps: what all games take from a chunk, compiled into one loop over memory, where a compiler is at hand.

Promises the plain path's numbers to rounding: a kernel is used only after it gave them on a sample, and whatever goes
wrong with one leaves the plain path, with the reason. Nothing is compiled while agents wait unless `mode` is "on".
"""

import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from engine.compiling import compiled, lacks
from engine.errors import IndicatorError
from engine.indicators import Indicator
from engine.stack import LANES, Phase, Stack
from engine.state import State
from engine.sweep import Chunk, Sweeper
from engine.tracing import Work, inputs

Mode = Literal["off", "on", "auto"]
Key = tuple[tuple[tuple[int, str, bool, tuple[int, ...]] | None, ...], Phase, str]
"""Of each game which it is, None of one that has failed; what is wanted of it; the type of device."""

WORTH = 300_000
"""Fewer agents than this are not worth a compiler's time."""
_YIELDING = 1e-4
"""Seconds after which the compiling thread lets others work."""


class Fusion:
    """Compiles kernels and keeps them. One for as long as the process lives; used by one thread at a time.

    "off" never compiles, "on" compiles when a kernel is first asked for and waits, "auto" compiles on a thread of its
    own from `worth` agents on, while the plain path serves. `report` is told once of each thing that went wrong.
    """

    def __init__(
        self, mode: Mode = "auto", *, worth: int = WORTH, report: Callable[[str], None] = lambda _: None
    ) -> None:
        self.mode, self.worth = mode, worth
        self.failures: list[str] = []
        self._report = report
        self._kernels: dict[Key, Work | None] = {}
        self._known: dict[int, Indicator] = {}
        self._waiting: deque[tuple[Key, Callable[[], Work]]] = deque()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._threads = torch.get_num_threads()

    def serves(self, current: State, preceding: State | None) -> bool:
        """Whether sweeps over these agents are worth compiling, and can be compiled."""
        wanted = self.mode == "on" or (self.mode == "auto" and current.n >= self.worth)
        return wanted and all(state is None or state.columns.dtype == torch.int32 for state in (current, preceding))

    def run(self, stack: Stack, phase: Phase, chunk: Chunk) -> list[Tensor] | None:
        """Give what is wanted of a chunk, None where its kernel is not ready or it is not of whole lanes."""
        key = self._key(stack, phase, chunk)
        if key not in self._kernels:
            self._kernels[key] = None
            self._start(key, lambda: compiled(stack, phase, chunk.now.device))
        kernel = self._kernels[key]
        if kernel is None or chunk.now.n % LANES or chunk.now.n == 0:
            return None
        delta = chunk.now.buffer("delta", 0 if phase == "sums" else stack.height)
        sums = kernel(*inputs(stack, chunk, delta))
        return sums if phase == "sums" else [delta, *sums]

    def _key(self, stack: Stack, phase: Phase, chunk: Chunk) -> Key:
        games: list[tuple[int, str, bool, tuple[int, ...]] | None] = []
        for game in stack.games:
            if isinstance(game, IndicatorError):
                games.append(None)
                continue
            # An indicator is known by its identity; it is kept so that no other gets the same.
            self._known[id(game.indicator)] = game.indicator
            games.append((id(game.indicator), game.baseline, game.masked, game.moved))
        return tuple(games), phase, chunk.now.device.type

    @property
    def pending(self) -> int:
        """How many kernels are still to be compiled."""
        with self._lock:
            return len(self._waiting)

    def close(self, patience: float = 10.0) -> None:
        """Compile no more, and wait `patience` seconds at most for what is being compiled."""
        self._closed = True
        if self._thread is not None:
            self._thread.join(patience)

    def _start(self, key: Key, work: Callable[[], Work]) -> None:
        missing = lacks(key[-1])
        if missing is not None:
            self._fail(missing)
        elif self.mode == "on":
            self._finish(key, work)
        else:
            with self._lock:
                self._waiting.append((key, work))
                if self._thread is None:
                    self._thread = threading.Thread(target=self._compile_all, name="fusion", daemon=True)
                    self._thread.start()

    def _compile_all(self) -> None:
        # What is compiled uses as many threads as the compiler saw.
        torch.set_num_threads(self._threads)
        patience = sys.getswitchinterval()
        # The compiler is Python: at the usual interval every short operation of a sweep would wait 5 ms for its turn.
        sys.setswitchinterval(_YIELDING)
        try:
            while (waiting := self._next()) is not None:
                self._finish(*waiting)
                with self._lock:
                    self._waiting.popleft()
        finally:
            sys.setswitchinterval(patience)

    def _next(self) -> tuple[Key, Callable[[], Work]] | None:
        with self._lock:
            if self._closed or not self._waiting:
                self._waiting.clear()
                self._thread = None
                return None
            return self._waiting[0]

    def _finish(self, key: Key, work: Callable[[], Work]) -> None:
        try:
            self._kernels[key] = work()
        except Exception as error:  # noqa: BLE001 - a compiler may raise anything, and the plain path stays
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            names = ", ".join(dict.fromkeys(self._known[game[0]].name for game in key[0] if game is not None))
            self._fail(f"the {key[1]} of {names} are not compiled: {reason}")

    def _fail(self, reason: str) -> None:
        if reason not in self.failures:
            self.failures.append(reason)
            self._report(reason)


def sweeper(current: State, preceding: State | None, fusion: Fusion | None) -> Sweeper:
    """The sweeps over these agents, compiled where `fusion` serves them."""
    return Sweeper(current, preceding, fusion if fusion is not None and fusion.serves(current, preceding) else None)
