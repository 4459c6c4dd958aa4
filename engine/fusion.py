"""Fused sweeps: the per-agent work of a game compiled into one loop over memory, where a compiler is at hand.

Promises the plain path's numbers to rounding: a kernel is used only after it gave them on a sample, and whatever goes
wrong with one leaves the plain path, with the reason. Nothing is compiled while agents wait unless `mode` is "on".
"""

import os
import shutil
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from engine.columns import COLUMNS
from engine.contributions import Game
from engine.indicators import Indicator
from engine.kernels import NO_OUT, SHARING, Inputs, Phase, body
from engine.lanes import WIDTH, blocks
from engine.state import State

Mode = Literal["off", "on", "auto"]
Kernel = Callable[..., list[Tensor]]
Key = tuple[int, str, bool, int, Phase, str]

WORTH = 300_000
"""Fewer agents than this are not worth a compiler's time."""
_SAMPLE = 37
"""Blocks of the sample: a number that no other size has, lest they be taken for the same."""
_YIELDING = 1e-4
"""Seconds after which the compiling thread lets others work."""
_AGREEMENT = 1e-9
_OPTIONS = {
    # Rows are cheap to work out and dear to write: never keep one for several readers.
    "realize_reads_threshold": 1 << 20,
    "realize_opcount_threshold": 1 << 20,
    "realize_acc_reads_threshold": 1 << 20,
    # In this thread: worker processes would outlive the compilation.
    "compile_threads": 1,
}


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
        self._kernels: dict[Key, Kernel | None] = {}
        self._known: dict[int, Indicator] = {}
        self._waiting: deque[tuple[Key, Callable[[], Kernel]]] = deque()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._threads = torch.get_num_threads()

    def kernel(self, game: Game, phase: Phase, state: State) -> Kernel | None:
        """Give the kernel of this work where it is ready."""
        if self.mode == "off" or (self.mode == "auto" and state.n < self.worth) or state.columns.dtype != torch.int32:
            return None
        # An indicator is known by its identity; it is kept so that no other gets the same.
        self._known[id(game.indicator)] = game.indicator
        key = (id(game.indicator), game.baseline, game.masked, game.moments, phase, state.device.type)
        if key not in self._kernels:
            self._kernels[key] = None
            self._start(key, lambda: compiled(game, phase, state.device))
        return self._kernels[key]

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

    def _start(self, key: Key, work: Callable[[], Kernel]) -> None:
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

    def _next(self) -> tuple[Key, Callable[[], Kernel]] | None:
        with self._lock:
            if self._closed or not self._waiting:
                self._waiting.clear()
                self._thread = None
                return None
            return self._waiting[0]

    def _finish(self, key: Key, work: Callable[[], Kernel]) -> None:
        try:
            self._kernels[key] = work()
        except Exception as error:  # noqa: BLE001 - a compiler may raise anything, and the plain path stays
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            self._fail(f"{self._known[key[0]].name!r} ({key[1]}, {key[4]}) is not compiled: {reason}")

    def _fail(self, reason: str) -> None:
        if reason not in self.failures:
            self.failures.append(reason)
            self._report(reason)


def lacks(device: str) -> str | None:
    """Say what is missing here to compile for this type of device, None where nothing is."""
    compiler = os.environ.get("CXX", "g++")
    if device == "cpu" and shutil.which(compiler) is None:
        return f"there is no C++ compiler ({compiler}); install one, or name it in CXX, to have fused sweeps"
    return None


def compiled(game: Game, phase: Phase, device: torch.device) -> Kernel:
    """Compile one kernel, and hold it to the plain function on a sample. Takes seconds.

    Raises:
        Exception: whatever the tracer or the compiler raises for a function that is not theirs.
    """
    # Here, because the compiler takes seconds to load.
    from torch._inductor import standalone_compile
    from torch.fx.experimental.proxy_tensor import make_fx

    work = body(game, phase)
    given = sample(phase, game.moments, device).tensors()
    graph = make_fx(work, tracing_mode="symbolic")(*given)
    kernel = standalone_compile(graph, list(given), dynamic_shapes="from_graph", options={"config_patches": _OPTIONS})
    mine, theirs = (sample(phase, game.moments, device, _SAMPLE + 4) for _ in range(2))
    for expected, got in zip([*work(*mine.tensors()), mine.out], [*kernel(*theirs.tensors()), theirs.out], strict=True):
        scale = expected.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
        if not bool(((got - expected).abs() <= _AGREEMENT * scale).all()):
            raise ValueError("the compiled sweep does not give the plain one's numbers")
    return kernel


def sample(phase: Phase, moments: int, device: torch.device, count: int = _SAMPLE) -> Inputs:
    """Inputs of `count` blocks, each tensor of a size of its own where sizes may differ."""
    random = torch.Generator().manual_seed(moments)

    def table(spare: int) -> Tensor:
        agents = count * WIDTH + spare
        return blocks(torch.randint(0, 9, (len(COLUMNS), agents), generator=random, dtype=torch.int32).to(device))

    def numbers(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random, dtype=torch.float64).to(device)

    k = moments
    bend = numbers(k, k)
    out = (count, WIDTH) if phase in SHARING else NO_OUT
    return Inputs(table(3), table(5), numbers(k), numbers(k), numbers(k), bend + bend.T, numbers(*out).zero_())
