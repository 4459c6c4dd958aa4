"""shap and shapiq on the engine's own game, at the largest number of agents that each reaches in 30 seconds.

The game is polarization's change between two windows of agents who all take part. To the libraries it is a function of
coalitions, one matrix product a batch: they know nothing of moments, which is why they ask for so many values. Each is
given as many as shap's defaults are: sampling ten times 2n + 1, its kernel 2n + 2,048, enumeration all 2ⁿ. n grows, by
doubling or for enumeration by one, while the next run would by the last one's growth end in time and in memory. Errors
are ‖found − truth‖ / ‖truth‖, of theirs and of ours alike. The truth is enumeration's, else permutations' with running
sums, each with its reverse, whose own noise is shown: no smaller error can be told from it.
"""

import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engine.attribution import attribute
from engine.builtin import POLARIZATION
from engine.games import game_of
from engine.oracles import MOST_PLAYERS, Game, exact
from engine.state import State
from tests.benchmarks._libraries import WAYS, Values, Way, enumeration
from tests.benchmarks._permutations import paired
from tests.benchmarks._timing import machine, once
from tests.populations import crowd, population

AGENTS = 1_671_587
LIMIT_S = 30.0
MOST_CELLS = 1 << 29
"""Coalitions held at once × agents: 4.3 GB in float64."""
STEPS = 8_000_000
"""Agents joining, in all the permutations of the truth."""
SEED = 1


@dataclass(frozen=True, slots=True)
class Reached:
    n: int
    seconds: float
    found: torch.Tensor
    stopped: str


def states(n: int) -> tuple[State, State]:
    return State(torch.from_numpy(crowd(n, 1))), State(torch.from_numpy(crowd(n, 2)))


def valued(game: Game) -> Values:
    """v(S) for coalitions as rows of zeros and ones."""
    start, delta = game.start, game.delta

    def values(coalitions: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = torch.from_numpy(np.atleast_2d(np.asarray(coalitions, np.float64)))
        return game.values(start + rows @ delta).numpy()

    return values


def farthest(way: Way) -> Reached:
    """Grow n until the next would take too long or too much memory."""
    way.find(valued(game_of(POLARIZATION, *states(8))), 8)  # shap compiles when it is first used
    n, last = 12, None
    while True:
        values = valued(game_of(POLARIZATION, *states(n)))
        began = time.perf_counter()
        found = way.find(values, n)
        seconds = time.perf_counter() - began
        if last and seconds > LIMIT_S:
            return replace(last, stopped=f"{seconds:.0f} s at {n:,}")
        following = way.after(n)
        growth = max(2.0, seconds / last.seconds) if last else 2.0
        last = Reached(n, seconds, torch.as_tensor(np.asarray(found, np.float64)), "")
        if seconds * growth > LIMIT_S:
            return replace(last, stopped=f"≈ {seconds * growth:.0f} s at {following:,}")
        if way.cells(following) > MOST_CELLS:
            return replace(last, stopped=f"{8 * way.cells(following) / 1e9:.1f} GB at {following:,}")
        n = following


def truth(game: Game) -> tuple[torch.Tensor, float]:
    """The Shapley value and its relative noise: enumerated where that can be, else sampled."""
    if game.n <= MOST_PLAYERS:
        return exact(game), 0.0
    found = paired(game, STEPS // (2 * game.n), torch.Generator().manual_seed(SEED))
    return found.phi, found.noise / float(found.phi.norm())


def row(way: Way) -> list[str]:
    reached = farthest(way)
    state, before = states(reached.n)
    whole = way.budget is enumeration
    true, noise = (reached.found, 0.0) if whole else truth(game_of(POLARIZATION, state, before))
    ours = attribute(POLARIZATION, state, before, method="oceanic").phi
    seconds = oceanic_seconds(state, before)
    return [
        way.name,
        f"{reached.n:,}",
        f"{way.budget(reached.n):,}",
        f"{reached.seconds:.2f}",
        "exact" if whole else off(reached.found, true),
        reached.stopped,
        f"{1e3 * seconds:.1f}",
        off(ours, true),
        f"{noise:.1e}" if noise else "exact",
    ]


def off(found: torch.Tensor, true: torch.Tensor) -> str:
    return f"{float((found - true).norm() / true.norm()):.1e}"


def oceanic_seconds(state: State, before: State, rounds: int = 5) -> float:
    n = state.n
    # Parts are new states: one that was used remembers what was derived from its columns.
    taken = [
        once(lambda: attribute(POLARIZATION, state.part(0, n), before.part(0, n), method="oceanic"))
        for _ in range(rounds)
    ]
    return median(taken)


def main() -> None:
    console = Console(width=150)
    shown = Table(title=f"polarization against the preceding window; the largest n within {LIMIT_S:.0f} s")
    shown.add_column("library, way")
    for heading in ("n", "values", "seconds", "error", "stopped by", "oceanic ms", "error", "noise of the truth"):
        shown.add_column(heading, justify="right")
    for way in WAYS:
        shown.add_row(*row(way))
    shown.add_section()
    game = game_of(POLARIZATION, *states(MOST_PLAYERS))
    enumerated = once(lambda: exact(game))
    shown.add_row(
        "ours, enumeration", str(game.n), f"{2**game.n:,}", f"{enumerated:.2f}", "exact", "its limit", "", "", ""
    )
    network = (State(torch.from_numpy(population(AGENTS, seed=seed))) for seed in (1, 2))
    shown.add_row("ours, oceanic", f"{AGENTS:,}", "", "", "", "", f"{1e3 * oceanic_seconds(*network):.1f}", "", "")
    console.print(shown)
    console.print(f"shap {version('shap')}, shapiq {version('shapiq')}, {machine()}")
