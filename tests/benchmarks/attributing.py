"""The engine at 1,671,587 agents: each indicator against one read of the same int32 table at memory speed.

`attribute` is what `starlingd attribute` reports as its `seconds`; `analyse` is all that one run of the daemon needs:
every indicator, both baselines, decompositions, panels and finite-population gaps. Both with plain sweeps and with
compiled ones; what the compiler took is said below the table. Other work on the machine's cores falls on compiled
sweeps most, whose threads wait for one another: the best of the rounds is what they can do.
"""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from rich.console import Console

from engine.analysis import analyse
from engine.attribution import attribute
from engine.builtin import BUILT_IN
from engine.fusion import Fusion, lacks
from engine.state import State
from tests.benchmarks._timing import READ, in_reads, in_turns, machine
from tests.populations import population

AGENTS = 1_671_587
ROUNDS = 9
NAMES = [indicator.name for indicator in BUILT_IN]


def main() -> None:
    columns = population(AGENTS, seed=1)
    tables = torch.from_numpy(columns), torch.from_numpy(population(AGENTS, seed=2))

    def attributed(indicator: object, *, preceding: bool, method: str, fusion: Fusion | None = None) -> None:
        # New states each time: one that was used remembers what was derived from its columns.
        attribute(indicator, fresh(0), fresh(1) if preceding else None, method=method, fusion=fusion)

    trusted = [State(table) for table in tables]

    def fresh(index: int) -> State:
        return trusted[index].part(0, AGENTS)

    cases: dict[str, Callable[[], object]] = {READ: columns.max}
    for indicator in BUILT_IN:
        for kind in indicator.baselines:
            for method in ("aumann-shapley", "oceanic"):
                name = f"{indicator.name}, {kind}, {method}"
                cases[name] = partial(attributed, indicator, preceding=kind == "preceding", method=method)
    # In turns of their own: a run follows a run, and finds the room that it left.
    runs: dict[str, Callable[[], object]] = {
        "analyse: all of a run": lambda: analyse(fresh(0), fresh(1), indicators=NAMES)
    }
    compiling = 0.0
    if lacks("cpu") is None:
        compiled = Fusion("on", report=print)
        fused = {
            f"{indicator.name}, {kind}, compiled": partial(
                attributed, indicator, preceding=kind == "preceding", method="aumann-shapley", fusion=compiled
            )
            for indicator in BUILT_IN
            for kind in indicator.baselines
        }
        runs["analyse, compiled"] = lambda: analyse(fresh(0), fresh(1), indicators=NAMES, fusion=compiled)
        started = time.perf_counter()
        for case in (*fused.values(), runs["analyse, compiled"]):
            case()
        compiling = time.perf_counter() - started
        cases |= fused
    seconds = in_turns(cases, ROUNDS) | in_turns(runs, ROUNDS)
    console = Console()
    console.print(in_reads(f"{AGENTS:,} agents, {columns.nbytes / 1e6:.0f} MB; median (best) of {ROUNDS}", seconds))
    console.print(f"compiling took {compiling:.0f} s" if compiling else f"nothing is compiled: {lacks('cpu')}")
    console.print(f"one read at {columns.nbytes / median(seconds[READ]) / 1e9:.1f} GB/s; {machine()}")
