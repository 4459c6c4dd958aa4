"""The engine against other ways to the same attribution, same F and agents: captum, and permutations of three kinds.

captum integrates gradients in 50 steps over every agent's contributions, given to it ready made. Permutations are
walked with running sums, alone or each with its reverse, until their noise is the engine's own distance from the
Shapley value. Of Aumann-Shapley that distance is its gap to the oceanic answer; of the oceanic answer with 6 whales,
what it changes by with 10. The naive kind sums all agents anew for each of the N coalitions of a permutation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from captum.attr import IntegratedGradients
from rich.console import Console
from rich.table import Table

from engine.attribution import attribute
from engine.builtin import ATTENTION, CASCADE, POLARIZATION
from engine.games import game_of
from engine.indicators import Indicator
from engine.oracles import Estimate, Game, exact, sampled
from engine.results import Method
from engine.state import State
from tests.benchmarks._permutations import paired, pooled
from tests.benchmarks._timing import in_turns, machine, once
from tests.populations import crowd, population

AGENTS = 1_671_587
ROUNDS, ORDERS, STEPS = 3, 8, 50
STEPS_AT_ONCE = 2
WHALES, MORE_WHALES = 6, 10
NOTES = """\
≈ marks what was not run to its end: of P permutations the noise falls with √P, so those needed for a relative error e
follow from the spread of those that were run (two permutations at least), and their seconds from the seconds of one.
A naive permutation takes N coalitions; one was timed. Heavy tails leave the spread known to about a third, and what
is needed to about a factor of two. "run" marks permutations that were walked: that the oceanic answer is about 1 ×
their noise away is all that they can tell, and their seconds are a floor under what its accuracy costs that way.
The oceanic answer's own error is an estimate too fine for permutations to confirm. In games of {few} agents, where
all coalitions can be enumerated and {more} whales are the most that leave an ocean, the true error was {least:.1f} to
{most:.1f} × that estimate."""
FEW, FEW_GAMES, FEW_WHALES = 19, 4, 9


@dataclass(frozen=True, slots=True)
class Row:
    way: str
    seconds: float
    accuracy: str


def captum(game: Game) -> torch.Tensor:
    present, absent = (rows.reshape(1, -1) for rows in (game.present, game.absent))
    shape = (-1, *game.present.shape)
    gradients = IntegratedGradients(lambda rows: game.values(rows.reshape(shape).sum(1)))
    found = gradients.attribute(present, baselines=absent, n_steps=STEPS, internal_batch_size=STEPS_AT_ONCE)
    return found.reshape(game.present.shape).sum(1)


def one_coalition(game: Game) -> None:
    joined = torch.rand(game.n, 1, generator=torch.Generator().manual_seed(1)) < 0.5
    game.f(torch.where(joined, game.present, game.absent).sum(0))


@dataclass(frozen=True, slots=True)
class Walked:
    """Permutations of one kind that were run, all rounds together, and the seconds of one."""

    name: str
    found: Estimate
    each: float
    size: float

    @property
    def error(self) -> float:
        return self.found.noise / self.size

    def needed(self, error: float) -> float:
        return max(2.0, self.found.permutations * (self.error / error) ** 2) if error else float("nan")

    def run(self, answer: torch.Tensor) -> Row:
        away = float((answer - self.found.phi).norm()) / self.found.noise
        way = f"{self.found.permutations} permutations, {self.name}, run"
        seconds = self.found.permutations * self.each
        return Row(way, seconds, f"{self.error:.1e} noise; ours is {away:.1f} × that away")

    def until(self, error: float, accuracy: str) -> Row:
        needed = self.needed(error)
        return Row(f"≈ {needed:.2g} permutations, {self.name}", needed * self.each, accuracy)


def sections(indicator: Indicator, state: State, before: State) -> list[list[Row]]:
    """Rows for either method, ours first."""

    def ours(method: Method = "aumann-shapley", whales: int = WHALES) -> torch.Tensor:
        # Parts are new states: one that was used remembers what was derived from its columns.
        return attribute(indicator, state.part(0, AGENTS), before.part(0, AGENTS), method=method, whales=whales).phi

    game = game_of(indicator, state.part(0, AGENTS), before.part(0, AGENTS))
    plain, ocean, further = ours(), ours("oceanic"), ours("oceanic", MORE_WHALES)
    size = float(ocean.norm())
    generator = torch.Generator().manual_seed(1)
    single: list[Estimate] = []
    double: list[Estimate] = []
    by_captum: list[torch.Tensor] = []
    cases: dict[str, Callable[[], object]] = {
        "aumann-shapley": ours,
        "oceanic": lambda: ours("oceanic"),
        "captum": lambda: by_captum.append(captum(game)),
        "single": lambda: single.append(sampled(game, ORDERS, generator)),
        "double": lambda: double.append(paired(game, ORDERS // 2, generator)),
        "coalition": partial(one_coalition, game),
    }
    seconds = {name: median(taken) for name, taken in in_turns(cases, ROUNDS).items()}
    kinds = [
        Walked("running sums", pooled(single), seconds["single"] / ORDERS, size),
        Walked("with their reverses", pooled(double), seconds["double"] / ORDERS, size),
    ]
    gap, change = (float((one - other).norm()) / size for one, other in ((plain, ocean), (ocean, further)))
    off = float((by_captum[-1] - plain).norm() / plain.norm())
    naive = kinds[0].needed(gap)
    fluid = [
        Row("aumann-shapley, ours", seconds["aumann-shapley"], f"{gap:.1e} from Shapley's"),
        Row(f"captum, {STEPS} steps", seconds["captum"], f"{off:.1e} from ours"),
        *(kind.until(gap, "as ours") for kind in kinds),
        Row(f"≈ {naive:.2g} permutations, naive", naive * AGENTS * seconds["coalition"], "as ours"),
    ]
    finite = [
        Row(
            f"oceanic, {WHALES} whales, ours", seconds["oceanic"], f"{change:.1e} by {MORE_WHALES} whales, an estimate"
        ),
        *(kind.run(ocean) for kind in kinds),
        *(kind.until(change, "as ours by that estimate") for kind in kinds),
    ]
    return [fluid, finite]


def understated() -> list[float]:
    """True errors of the oceanic answer over what they are estimated at, in games small enough to enumerate."""
    found = []
    for indicator in (ATTENTION, CASCADE, POLARIZATION):
        for seed in range(FEW_GAMES):
            state, before = (State(torch.from_numpy(crowd(FEW, 2 * seed + when))) for when in (0, 1))
            true = exact(game_of(indicator, state, before))
            ocean, further = (
                attribute(indicator, state, before, method="oceanic", whales=whales).phi
                for whales in (WHALES, FEW_WHALES)
            )
            found.append(float((ocean - true).norm() / (ocean - further).norm()))
    return found


def main() -> None:
    state, before = (State(torch.from_numpy(population(AGENTS, seed=seed))) for seed in (1, 2))
    console = Console(width=140)
    shown = Table(title=f"{AGENTS:,} agents, preceding baseline, float64; median of {ROUNDS} in turns")
    for heading in ("indicator", "way", "seconds", "× ours", "relative error"):
        shown.add_column(heading, justify="right" if heading in {"seconds", "× ours"} else "left")
    for indicator in (ATTENTION, CASCADE, POLARIZATION):
        found: list[list[Row]] = []
        taken = once(lambda indicator=indicator, found=found: found.extend(sections(indicator, state, before)))
        for rows in found:
            for row in rows:
                ratio = f"{row.seconds / rows[0].seconds:,.3g}"
                shown.add_row(indicator.name, row.way, f"{row.seconds:,.4g}", ratio, row.accuracy)
            shown.add_section()
        console.print(f"{indicator.name} measured in {taken:.0f} s")
    console.print(shown)
    ratios = understated()
    console.print(NOTES.format(few=FEW, more=FEW_WHALES, least=min(ratios), most=max(ratios)))
    console.print(machine())
