"""The engine at 1,671,587 agents: each indicator against one read of the same int32 table at memory speed.

`attribute` is what `starlingd attribute` reports as its `seconds`; `analyse` is all that one run of the daemon needs:
every indicator, both baselines, decompositions, panels and finite-population gaps.
"""

from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from engine.analysis import analyse
from engine.attribution import attribute
from engine.builtin import BUILT_IN
from engine.state import State
from tests.benchmarks._timing import in_turns, machine, milliseconds
from tests.populations import population

AGENTS = 1_671_587
ROUNDS = 9
NAMES = [indicator.name for indicator in BUILT_IN]


def main() -> None:
    columns = population(AGENTS, seed=1)
    tables = torch.from_numpy(columns), torch.from_numpy(population(AGENTS, seed=2))

    def attributed(indicator: object, *, preceding: bool, method: str) -> None:
        # New states each time: one that was used remembers what was derived from its columns.
        attribute(indicator, fresh(0), fresh(1) if preceding else None, method=method)

    trusted = [State(table) for table in tables]

    def fresh(index: int) -> State:
        return trusted[index].part(0, AGENTS)

    cases: dict[str, Callable[[], object]] = {"one read (NumPy max)": columns.max}
    for indicator in BUILT_IN:
        for kind in indicator.baselines:
            for method in ("aumann-shapley", "oceanic"):
                name = f"{indicator.name}, {kind}, {method}"
                cases[name] = partial(attributed, indicator, preceding=kind == "preceding", method=method)
    cases["analyse: all of a run"] = lambda: analyse(fresh(0), fresh(1), indicators=NAMES)
    seconds = in_turns(cases, ROUNDS)
    read = median(seconds["one read (NumPy max)"])
    shown = Table(title=f"{AGENTS:,} agents, {columns.nbytes / 1e6:.0f} MB; median (best) of {ROUNDS}")
    shown.add_column("what")
    shown.add_column("ms", justify="right")
    shown.add_column("reads", justify="right")
    for name, taken in seconds.items():
        shown.add_row(name, milliseconds(taken), f"{median(taken) / read:.1f}")
    console = Console()
    console.print(shown)
    console.print(f"one read at {columns.nbytes / read / 1e9:.1f} GB/s; {machine()}")
