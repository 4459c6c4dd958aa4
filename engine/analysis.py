"""One run: every indicator against every baseline, with all that follows from phi. One that fails leaves the rest."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from engine.attribution import Solution, Terms, same_agents, solve
from engine.concentration import concentration, from_sums
from engine.contributions import Game, game
from engine.decomposition import ColumnTotals, parts
from engine.errors import EngineError, IndicatorError, StateError, attempt
from engine.fusion import Fusion, sweeper
from engine.indicators import Indicator
from engine.meeting import Alone, Meeting
from engine.members import choose
from engine.panels import panels
from engine.panic import PanicMemory, remembered
from engine.ranking import Strata, strata
from engine.registry import get
from engine.results import Baseline, Finding, Method, Panel
from engine.state import State


def analyse(
    current: State,
    preceding: State | None,
    *,
    indicators: Sequence[str | Indicator],
    method: Method = "aumann-shapley",
    whales: int = 6,
    ranking: Strata | None = None,
    panel_sizes: Sequence[int] = (100, 1000, 10000),
    seed: int = 0,
    identity: Tensor | None = None,
    memory: dict[str, PanicMemory] | None = None,
    meeting: Meeting | None = None,
    fusion: Fusion | None = None,
) -> list[Finding]:
    """Attribute every indicator against each baseline it supports and that there is.

    `preceding` holds the same agents in the same order, or is None until that window is covered: no change then.
    `ranking` is of these agents by visibility; None takes interactions received. `identity` int64 [N] is a number of
    its own for each agent, whoever holds it: panels take equals and draw by it; None takes indices. `memory` holds, by
    indicator, what earlier runs left, in the order of `current`'s agents; a run replaces its entries when all went
    well. Panels are by Aumann and Shapley whatever the method; those of an indicator with memory are held against this
    run's change. With a `meeting` each rank gives its own agents and gets their phi; all else that is found is of all
    agents, the same on each rank. A `fusion` gives compiled sweeps where it has them.

    Raises:
        StateError: when the states, the visibility or the memory do not hold the same agents.
    """
    same_agents(current, preceding)
    if identity is not None:
        identity = _one_each("identity", identity, current)
    memory = {} if memory is None else memory
    meeting = meeting or Alone()
    findings, games = _games(indicators, current, preceding)
    sweep = sweeper(current, preceding, fusion)
    ranking = strata(current.received, meeting=meeting) if ranking is None else ranking
    _one_each("visibility", ranking.visibility, current)
    members = choose(
        current,
        preceding,
        ranking,
        sizes=panel_sizes,
        seed=seed,
        identity=identity,
        meeting=meeting,
    )
    terms = Terms(method=method, whales=whales, gap=True, ranking=ranking, meeting=meeting)
    solutions, phi = solve(games, sweep, terms)
    seats = panels([attempt(lambda each: each.game, solution) for solution in solutions], members, phi, meeting)
    columns = ColumnTotals(current, preceding, meeting)
    return [
        _finding(finding, solution=solution, seats=each, columns=columns, terms=terms, memory=memory)
        for finding, solution, each in zip(findings, solutions, seats, strict=True)
    ]


def _games(
    indicators: Sequence[str | Indicator], current: State, preceding: State | None
) -> tuple[list[Finding], list[Game | IndicatorError]]:
    """Set up every finding there will be, and the game of each."""
    findings: list[Finding] = []
    games: list[Game | IndicatorError] = []
    for named in indicators:
        name = named if isinstance(named, str) else named.name
        indicator = attempt(get, named) if isinstance(named, str) else named
        kinds: Sequence[Baseline] = ("neutral",) if isinstance(indicator, IndicatorError) else indicator.baselines
        for kind in kinds:
            if kind == "neutral" or preceding is not None:
                findings.append(Finding(name, kind))
                games.append(attempt(game, indicator, kind, current.device))
    return findings, games


def _finding(
    finding: Finding,
    *,
    solution: Solution | IndicatorError,
    seats: list[Panel] | IndicatorError,
    columns: ColumnTotals,
    terms: Terms,
    memory: dict[str, PanicMemory],
) -> Finding:
    """Fill in what follows from phi, or why there is none."""
    if isinstance(solution, IndicatorError):
        return replace(finding, failure=str(solution))
    if isinstance(seats, IndicatorError):
        return replace(finding, failure=str(seats))
    assert terms.ranking is not None
    played, answer, shares = solution.game, solution.answer, solution.shares
    name, rho = played.indicator.name, played.indicator.memory
    if rho is None:
        carried = from_sums(shares.mass, terms.ranking, signed=answer.sum_phi, square=shares.square)
        kept = answer
    else:
        earlier = memory.get(name) or PanicMemory.empty(len(answer.phi), answer.phi.device)
        try:
            kept, fresh = remembered(answer, earlier, rho, terms.meeting)
        except EngineError as error:
            return replace(finding, failure=str(error))
        carried = concentration(kept.phi, terms.ranking, terms.meeting)
        if kept.ok:
            memory[name] = fresh
    return replace(
        finding,
        attribution=kept,
        concentration=carried,
        panels=seats,
        parts=parts(played.indicator, answer, columns),
        rescalable=played.moments == 1,
    )


def _one_each(what: str, numbers: Tensor, current: State) -> Tensor:
    if numbers.shape != (current.n,):
        raise StateError(f"the {what} has the shape {list(numbers.shape)} for {current.n} agents; give one each")
    return numbers.to(current.device)
