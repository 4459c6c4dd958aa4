"""One run: every indicator against every baseline, with all that follows from phi. One that fails leaves the rest."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from engine.attribution import Solution, Terms, same_agents, solve
from engine.concentration import concentration, from_sums
from engine.contributions import Game, game
from engine.decomposition import ColumnTotals, parts
from engine.errors import EngineError, IndicatorError, StateError
from engine.fusion import Fusion
from engine.indicators import Indicator
from engine.meeting import Alone, Meeting
from engine.members import Members, choose
from engine.panels import panels
from engine.panic import PanicMemory, remembered
from engine.ranking import strata
from engine.registry import get
from engine.results import Finding, Method
from engine.state import State
from engine.sweep import Sweeper


def analyse(
    current: State,
    preceding: State | None,
    *,
    indicators: Sequence[str | Indicator],
    method: Method = "aumann-shapley",
    whales: int = 6,
    visibility: Tensor | None = None,
    tier_bounds: tuple[float, float] = (0.01, 0.10),
    panel_sizes: Sequence[int] = (100, 1000, 10000),
    seed: int = 0,
    identity: Tensor | None = None,
    memory: dict[str, PanicMemory] | None = None,
    meeting: Meeting | None = None,
    fusion: Fusion | None = None,
) -> list[Finding]:
    """Attribute every indicator against each baseline it supports and that there is.

    `preceding` holds the same agents in the same order, or is None until that window is covered: no change then.
    `visibility` [N] is followers where known; None takes interactions received. `identity` int64 [N] is a number of
    its own for each agent, whoever holds it: panels take equals and draw by it; None takes indices. `memory` holds, by
    indicator, what earlier runs left, in the order of `current`'s agents; a run replaces its entries when all went
    well. Panels are by Aumann and Shapley whatever the method; those of an indicator with memory are held against this
    run's change. With a `meeting` each rank gives its own agents and gets their phi; all else that is found is of all
    agents, the same on each rank. A `fusion` gives compiled sweeps where it has them.

    Raises:
        StateError: when the states, the visibility or the memory do not hold the same agents.
    """
    same_agents(current, preceding)
    seen = current.received if visibility is None else _one_each("visibility", visibility, current)
    identity = None if identity is None else _one_each("identity", identity, current)
    memory = {} if memory is None else memory
    meeting = meeting or Alone()
    findings, games = _games(indicators, current, preceding)
    sweep = Sweeper(current, preceding, fusion)
    ranking = strata(seen, tier_bounds, meeting)
    members = choose(
        current,
        preceding,
        seen,
        ranking.tiers,
        sizes=panel_sizes,
        seed=seed,
        identity=identity,
        meeting=meeting,
    )
    terms = Terms(method=method, whales=whales, gap=True, ranking=ranking, meeting=meeting)
    solutions = solve(list(games.values()), sweep, terms)
    columns = ColumnTotals(current, preceding, meeting)
    for index, solution in zip(games, solutions, strict=True):
        findings[index] = _finding(
            findings[index], solution=solution, columns=columns, members=members, terms=terms, memory=memory
        )
    return findings


def _games(
    indicators: Sequence[str | Indicator], current: State, preceding: State | None
) -> tuple[list[Finding], dict[int, Game]]:
    """Set up every finding there will be, and the game of each that has not failed yet, by its place."""
    findings: list[Finding] = []
    games: dict[int, Game] = {}
    for named in indicators:
        name = named if isinstance(named, str) else named.name
        try:
            indicator = get(named) if isinstance(named, str) else named
        except IndicatorError as error:
            findings.append(Finding(name, "neutral", failure=str(error)))
            continue
        for kind in indicator.baselines:
            if kind == "preceding" and preceding is None:
                continue
            findings.append(Finding(name, kind))
            try:
                games[len(findings) - 1] = game(indicator, kind, current.device)
            except IndicatorError as error:
                findings[-1].failure = str(error)
    return findings, games


def _finding(
    finding: Finding,
    *,
    solution: Solution | IndicatorError,
    columns: ColumnTotals,
    members: Sequence[Members],
    terms: Terms,
    memory: dict[str, PanicMemory],
) -> Finding:
    """Fill in what follows from phi, or why there is none."""
    if isinstance(solution, IndicatorError):
        return replace(finding, failure=str(solution))
    played, answer, shares = solution.game, solution.answer, solution.shares
    ranking, meeting = terms.ranking, terms.meeting
    assert ranking is not None
    name, rho = played.indicator.name, played.indicator.memory
    try:
        seen = panels(played, members, answer.phi, meeting)
        if rho is None:
            assert shares.mass is not None
            carried = from_sums(shares.mass, ranking, signed=answer.sum_phi, square=shares.square)
            kept = answer
        else:
            earlier = memory.get(name) or PanicMemory.empty(len(answer.phi), answer.phi.device)
            kept, fresh = remembered(answer, earlier, rho, meeting)
            carried = concentration(kept.phi, ranking, meeting)
    except EngineError as error:
        return replace(finding, failure=str(error))
    if rho is not None and kept.ok:
        memory[name] = fresh
    return replace(
        finding,
        attribution=kept,
        concentration=carried,
        panels=seen,
        parts=parts(played.indicator, answer, columns),
        rescalable=played.moments == 1,
    )


def _one_each(what: str, numbers: Tensor, current: State) -> Tensor:
    if numbers.shape != (current.n,):
        raise StateError(f"the {what} has the shape {list(numbers.shape)} for {current.n} agents; give one each")
    return numbers.to(current.device)
