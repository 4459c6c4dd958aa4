"""What keeps a run from fewer reads of its table: parts that it cannot do without, each alone, beside the whole.

Every number is of both sweeps at 1,671,587 agents, all indicators and baselines. Memory gives the columns at the speed
of one read, but most of what a run does is on rows of Δg: they are written, multiplied with one another and summed in
caches, by matrix products as fast as torch has them. Integrals and panels do not grow with agents.
"""

from collections.abc import Callable
from statistics import median

import torch
from rich.console import Console
from torch import Tensor

from engine import oceanic, path
from engine.analysis import analyse
from engine.builtin import BUILT_IN
from engine.contributions import Game, game
from engine.meeting import Alone
from engine.stack import LANES, Stack
from engine.state import State
from engine.sweep import Sweeper, chunk_size
from engine.totals import Totals, first_sweep, fix_means
from tests.benchmarks._timing import READ, in_reads, in_turns, machine
from tests.populations import population

AGENTS, ROUNDS = 1_671_587, 7
CPU = torch.device("cpu")
NAMES = [indicator.name for indicator in BUILT_IN]
RUN = "analyse: all of a run"
WORKED_OUT = "rows of Δg worked out from the columns, and sums, by torch's operations"
"""What the reads and the writes take together as the engine does them; not a part that cannot be done without."""


def main() -> None:
    columns = population(AGENTS, seed=1)
    now, before = (State(torch.from_numpy(table)) for table in (columns, population(AGENTS, seed=2)))
    stack = Stack([game(indicator, kind, CPU) for indicator in BUILT_IN for kind in indicator.baselines])
    cases: dict[str, Callable[[], object]] = {
        READ: columns.max,
        "both tables read in both sweeps": lambda: [state.columns.numpy().max() for state in (now, before) * 2],
        **rows(stack),
        "integrals": integrals(stack, now, before),
        WORKED_OUT: worked_out(stack, now, before),
        RUN: lambda: analyse(now.part(0, AGENTS), before.part(0, AGENTS), indicators=NAMES),
    }
    seconds = in_turns(cases, ROUNDS)
    needed = sum(median(taken) for name, taken in seconds.items() if name not in {READ, RUN, WORKED_OUT})
    shown = in_reads(f"{AGENTS:,} agents, {stack.height} rows of Δg; median (best) of {ROUNDS}", seconds)
    shown.add_row("all parts but the two last", f"{1e3 * needed:,.1f}", f"{needed / median(seconds[READ]):.1f}")
    console = Console()
    console.print(shown)
    console.print(machine())


def rows(stack: Stack) -> dict[str, Callable[[], object]]:
    """What is done with the rows of Δg, over and over on the matrix of one chunk, as often as there are chunks."""
    size = chunk_size(CPU, stack.height)
    delta, other = (torch.rand((stack.height, size), dtype=torch.float64) for _ in range(2))
    phi = torch.empty((len(stack.games), size), dtype=torch.float64)
    weights, square = (torch.rand((height, stack.height), dtype=torch.float64) for height in (len(phi), stack.height))

    def every(work: Callable[[], object]) -> Callable[[], object]:
        return lambda: [work() for _ in range(-(-AGENTS // size))]

    def products() -> list[Tensor]:
        return [delta[block.rows] @ delta[block.rows].T for block in stack.blocks]

    def shares() -> None:
        for block in stack.blocks:
            torch.mm(weights[block.games, block.rows], delta[block.rows], out=phi[block.games])

    def ocean() -> None:
        for block in stack.blocks:
            torch.mm(square[block.rows, block.rows], delta[block.rows], out=other[block.rows]).mul_(delta[block.rows])
            torch.mm(weights[block.games, block.rows], other[block.rows], out=phi[block.games])

    blocks = delta.view(stack.height, -1, LANES)
    return {
        "rows of Δg written in both sweeps": every(lambda: [other.copy_(delta) for _ in range(2)]),
        "ΣΔg Δgᵀ": every(products),
        "greatest and least of blocks, for the whales": every(lambda: (blocks.amax(2), blocks.amin(2))),
        "phi": every(shares),
        "what the ocean adds to phi, for the gap": every(ocean),
    }


def worked_out(stack: Stack, now: State, before: State) -> Callable[[], object]:
    """What both sweeps take from the columns, and nothing that follows from it."""

    def work() -> None:
        sweep = Sweeper(now.part(0, AGENTS), before.part(0, AGENTS))
        known = Stack(fix_means(stack.games, sweep, Alone()))
        sweep.each(known.delta_and_sums, known.height)
        sweep.each(known.delta, known.height)

    return work


def integrals(stack: Stack, now: State, before: State) -> Callable[[], object]:
    """λ and the oceanic weights of each game, from totals that are known."""
    sweep = Sweeper(now.part(0, AGENTS), before.part(0, AGENTS))
    games = fix_means(stack.games, sweep, Alone())
    totals = first_sweep(games, sweep, whales=6, spread=True, meeting=Alone())
    pairs = [pair for pair in zip(games, totals, strict=True) if isinstance(pair[0], Game)]

    def work() -> None:
        for played, sums in pairs:
            assert isinstance(played, Game)
            assert isinstance(sums, Totals)
            path.weights(played.indicator, sums.start[None], sums.end[None])
            oceanic.weights(played.indicator, sums, rough=True)

    return work
