"""The engine against other ways to the same attribution, same F and same agents: captum, and permutations of two kinds.

captum integrates gradients in 50 steps over every agent's contributions, given to it ready made. Permutations are run
until their noise is the engine's own distance from the Shapley value (its finite-population gap): how many that takes
follows from the spread of those that were run, so those times are extrapolated, and marked ≈. The naive kind sums all
agents anew for each of the N coalitions of a permutation; one sum is timed.
"""

from collections.abc import Callable
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
from engine.oracles import Game, sampled
from engine.results import Attribution
from engine.state import State
from tests.benchmarks._timing import in_turns, machine, once
from tests.populations import population

AGENTS = 1_671_587
ROUNDS, ORDERS, STEPS = 3, 4, 50
STEPS_AT_ONCE = 2


def captum(game: Game) -> torch.Tensor:
    present, absent = (rows.reshape(1, -1) for rows in (game.present, game.absent))
    shape = (-1, *game.present.shape)
    gradients = IntegratedGradients(lambda rows: game.values(rows.reshape(shape).sum(1)))
    found = gradients.attribute(present, baselines=absent, n_steps=STEPS, internal_batch_size=STEPS_AT_ONCE)
    return found.reshape(game.present.shape).sum(1)


def one_coalition(game: Game) -> None:
    joined = torch.rand(game.n, 1, generator=torch.Generator().manual_seed(1)) < 0.5
    game.f(torch.where(joined, game.present, game.absent).sum(0))


def rows(indicator: Indicator, state: State, before: State) -> list[tuple[str, float, str]]:
    """Way, seconds and accuracy of each."""

    def ours(*, gap: bool = False) -> Attribution:
        # Parts are new states: one that was used remembers what was derived from its columns.
        return attribute(indicator, state.part(0, AGENTS), before.part(0, AGENTS), gap=gap)

    game = game_of(indicator, state.part(0, AGENTS), before.part(0, AGENTS))
    answer = ours(gap=True)
    gap = answer.finite_gap or 0.0
    by_captum: list[torch.Tensor] = []
    cases: dict[str, Callable[[], object]] = {
        "ours": ours,
        "captum": lambda: by_captum.append(captum(game)),
        "orders": partial(sampled, game, ORDERS, torch.Generator().manual_seed(1)),
        "coalition": partial(one_coalition, game),
    }
    seconds = {name: median(taken) for name, taken in in_turns(cases, ROUNDS).items()}
    spread = sampled(game, ORDERS, torch.Generator().manual_seed(2)).noise * ORDERS**0.5 / float(answer.phi.norm())
    needed = max(1.0, (spread / gap) ** 2) if gap else float("nan")
    off = float((by_captum[-1] - answer.phi).norm() / answer.phi.norm())
    return [
        ("aumann-shapley, ours", seconds["ours"], f"{gap:.1e} from Shapley's"),
        (f"captum, {STEPS} steps", seconds["captum"], f"{off:.1e} from ours"),
        (f"≈ {needed:.2g} permutations, running sums", needed * seconds["orders"] / ORDERS, "as ours"),
        (f"≈ {needed:.2g} permutations, naive", needed * AGENTS * seconds["coalition"], "as ours"),
    ]


def main() -> None:
    state, before = (State(torch.from_numpy(population(AGENTS, seed=seed))) for seed in (1, 2))
    console = Console()
    shown = Table(title=f"{AGENTS:,} agents, preceding baseline, float64; median of {ROUNDS} in turns")
    for heading in ("indicator", "way", "seconds", "× ours", "relative error"):
        shown.add_column(heading, justify="right" if heading in {"seconds", "× ours"} else "left")
    for indicator in (ATTENTION, CASCADE, POLARIZATION):
        answers: list[tuple[str, float, str]] = []
        taken = once(lambda indicator=indicator, answers=answers: answers.extend(rows(indicator, state, before)))
        for way, seconds, accuracy in answers:
            ratio = f"{seconds / answers[0][1]:,.3g}"
            shown.add_row(indicator.name, way, f"{seconds:,.4g}", ratio, accuracy, end_section=way == answers[-1][0])
        console.print(f"{indicator.name} measured in {taken:.0f} s")
    console.print(shown)
    console.print(machine())
