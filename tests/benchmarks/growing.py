"""Growth from 10⁴ to 3·10⁷ agents on the CPU: seconds, the exponent fitted to them, bytes per agent.

`attribute` for each indicator, against its neutral baseline where it has one; `analyse` is all of a run, every
indicator and both baselines. The sizes take turns, so that other work on the machine meets all alike, and of each the
best round counts, since other work only ever adds. The exponent is the slope of log seconds on log agents: of processor
seconds of all cores, which leave out waiting for others, over all sizes and from 10⁶ upward, where what a call costs
whatever the size no longer shows, and there of the clock's seconds too. Ten million agents are drawn; more are those
again. A size whose tables, or whose run by what the size before it held, would not fit into free memory is left out.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engine.analysis import analyse
from engine.attribution import attribute
from engine.builtin import BUILT_IN
from engine.columns import COLUMNS
from engine.indicators import Indicator
from engine.state import State
from tests.benchmarks._timing import machine, once
from tests.populations import population

SIZES = (10_000, 100_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)
SETTLED = 1_000_000
"""From here upward the exponent is fitted a second time."""
BLOCK, DRAWN = 1_000_000, 10
ROUNDS, RUNS = 5, 2
MOST_ANALYSED = 10_000_000
SPARE = 1.25
BESIDE = (f"from {SETTLED:.0g}", "by the clock", "ns/agent", "B/agent")
NAMES = [indicator.name for indicator in BUILT_IN]
TABLE = 4 * len(COLUMNS)
"""Bytes of an agent in an int32 table."""
NOTES = f"""\
An agent takes {TABLE} B in a table of int32, {2 * TABLE} B with the preceding window. B/agent is what the call held
beyond the tables at its peak, the answer included (φ: 8 B each); it and ns/agent (processor time) are of the largest
size."""


def main() -> None:
    sizes = [n for n in SIZES if SPARE * 2 * TABLE * n < available()]
    states = tables(sizes)
    shown = Table(title=f"milliseconds, best of {ROUNDS} rounds (analyse: of {RUNS}), sizes in turns")
    for heading in ("", *(f"{n:.0g}" for n in sizes), "exponent", *BESIDE):
        shown.add_column(heading, justify="right" if heading else "left")
    for indicator in BUILT_IN:
        kind = indicator.baselines[0]
        cases = {n: partial(attributed, indicator, *states[n], preceding=kind == "preceding") for n in sizes}
        shown.add_row(f"attribute {indicator.name}, {kind}", *cells(cases, sizes, ROUNDS))
    whole = {n: partial(analysed, *states[n]) for n in sizes if n <= MOST_ANALYSED}
    shown.add_row("analyse: all of a run", *cells(whole, sizes, RUNS))
    console = Console(width=150)
    console.print(shown)
    console.print(f"{NOTES}\n{machine()}")


def tables(sizes: list[int]) -> dict[int, tuple[State, State]]:
    """States now and before of each size, as parts of one table and of the same with its halves exchanged."""
    largest = max(sizes)
    columns = np.empty((len(COLUMNS), largest), np.int32)

    def draw(block: int) -> None:
        drawn = population(min(BLOCK, largest), seed=block)
        for start in range(block * BLOCK, largest, DRAWN * BLOCK):
            room = columns[:, start : start + BLOCK]
            room[:] = drawn[:, : room.shape[1]]

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(draw, range(min(DRAWN, math.ceil(largest / BLOCK)))))
    half = largest // 2
    before: NDArray[np.int32] = np.concatenate((columns[:, half:], columns[:, :half]), axis=1)
    now, then = torch.from_numpy(columns), torch.from_numpy(before)
    return {n: (State(now[:, :n]), State(then[:, :n])) for n in sizes}


def attributed(indicator: Indicator, state: State, before: State, *, preceding: bool) -> object:
    # Parts are new states: one that was used remembers what was derived from its columns.
    return attribute(indicator, state.part(0, state.n), before.part(0, state.n) if preceding else None)


def analysed(state: State, before: State) -> object:
    return analyse(state.part(0, state.n), before.part(0, state.n), indicators=NAMES)


def cells(cases: dict[int, Callable[[], object]], sizes: list[int], rounds: int) -> list[str]:
    """Milliseconds at each size, three exponents, the largest size's processor time and held bytes of an agent."""
    held: dict[int, float] = {}
    clock: dict[int, float] = {}
    processor: dict[int, float] = {}
    for n, case in cases.items():
        if held and SPARE * list(held.values())[-1] * n > available():
            break
        held[n] = peak(case) / n
    for _ in range(rounds):
        for n in held:
            cases[n]()  # not counted: in a service a run follows one of its size, and finds the room that it left
            began = time.process_time()
            clock[n] = min(once(cases[n]), clock.get(n, math.inf))
            processor[n] = min(time.process_time() - began, processor.get(n, math.inf))
    largest = max(clock)
    return [
        *(f"{1e3 * clock[n]:,.1f}" if n in clock else "" if n not in cases else "no room" for n in sizes),
        f"{exponent(processor):.2f}",
        f"{exponent(settled(processor)):.2f}",
        f"{exponent(settled(clock)):.2f}",
        f"{1e9 * processor[largest] / largest:.1f}",
        f"{held[largest]:.0f}",
    ]


def settled(seconds: dict[int, float]) -> dict[int, float]:
    return {n: each for n, each in seconds.items() if n >= SETTLED}


def exponent(seconds: dict[int, float]) -> float:
    if len(seconds) < 2:
        return float("nan")
    slope, _ = np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)
    return float(slope)


def peak(case: Callable[[], object]) -> float:
    """Bytes resident at the call's peak above those before it; NaN where the system does not tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        case()
        return float("nan")
    before = _status("/proc/self/status", "VmRSS")
    case()
    return _status("/proc/self/status", "VmHWM") - before


def available() -> float:
    """Bytes of memory that are free, infinite where the system does not tell."""
    return _status("/proc/meminfo", "MemAvailable") if Path("/proc/meminfo").exists() else math.inf


def _status(file: str, name: str) -> float:
    lines = Path(file).read_text().splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith(name))
