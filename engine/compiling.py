"""One kernel: the work traced, compiled, and held to the plain function's numbers."""

import os
import shutil

import torch
from torch import Tensor
from torch.fx import GraphModule

from engine.columns import COLUMNS
from engine.errors import IndicatorError
from engine.stack import LANES, Phase, Stack
from engine.tracing import Work, work_of

_SAMPLE = 37 * LANES
"""Agents of the sample: a number that no other size has, lest they be taken for the same."""
_AGREEMENT = 1e-9
_OPTIONS = {
    # Rows are cheap to work out and dear to write: never keep one for several readers.
    "realize_reads_threshold": 1 << 20,
    "realize_opcount_threshold": 1 << 20,
    "realize_acc_reads_threshold": 1 << 20,
    # In this thread: worker processes would outlive the compilation.
    "compile_threads": 1,
}


def lacks(device: str) -> str | None:
    """Say what is missing here to compile for this type of device, None where nothing is."""
    compiler = os.environ.get("CXX", "g++")
    if device == "cpu" and shutil.which(compiler) is None:
        return f"there is no C++ compiler ({compiler}); install one, or name it in CXX, to have fused sweeps"
    return None


def compiled(stack: Stack, phase: Phase, device: torch.device) -> Work:
    """Compile one kernel, and hold it to the plain function on a sample. Takes seconds.

    Raises:
        Exception: whatever the tracer or the compiler raises for a function that is not theirs.
    """
    # Here, because the compiler takes seconds to load.
    from torch._inductor import standalone_compile

    work, given = work_of(stack, phase), sample(stack, phase, device)
    kernel: Work = standalone_compile(
        _traced(stack, phase, device), list(given), dynamic_shapes="from_graph", options={"config_patches": _OPTIONS}
    )
    mine, theirs = (sample(stack, phase, device, _SAMPLE + 4 * LANES) for _ in range(2))
    for expected, got in zip([*work(*mine), *mine], [*kernel(*theirs), *theirs], strict=True):
        scale = expected.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
        if not bool(((got - expected).abs() <= _AGREEMENT * scale).all()):
            raise ValueError("the compiled sweep does not give the plain one's numbers")
    return kernel


def _traced(stack: Stack, phase: Phase, device: torch.device) -> GraphModule:
    """Trace the work; where that cannot be done, say of whom."""
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        return make_fx(work_of(stack, phase), tracing_mode="symbolic")(*sample(stack, phase, device))
    except Exception as error:
        for game in stack.games if len(stack.games) > 1 else []:
            try:
                _traced(Stack([game]), phase, device)
            except Exception as own:  # noqa: BLE001 - a tracer may raise anything
                name = "" if isinstance(game, IndicatorError) else game.indicator.name
                raise ValueError(f"{name!r} cannot be traced: {own}") from error
        raise


def sample(stack: Stack, phase: Phase, device: torch.device, agents: int = _SAMPLE) -> tuple[Tensor, ...]:
    """What a stack's work takes, of so many agents in two longer tables, as chunks are."""
    random = torch.Generator().manual_seed(agents)
    now, before = (
        torch.randint(0, 9, (len(COLUMNS), agents + spare), generator=random, dtype=torch.int32).to(device)[:, :agents]
        for spare in (3, 5)
    )
    levels = torch.rand(sum(stack.moments), generator=random, dtype=torch.float64)
    delta = torch.zeros((0 if phase == "sums" else stack.height, agents), dtype=torch.float64, device=device)
    return now, before, levels.to(device), *delta.unbind()
