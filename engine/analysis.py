"""One run: every indicator against every baseline, with all that follows from phi. One that fails leaves the rest."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from engine.attribution import Solution, Terms, same_agents, solve
from engine.concentration import concentration, from_sums
from engine.contributions import Game, game
from engine.decomposition import ColumnTotals, parts
from engine.errors import EngineError, IndicatorError, StateError
from engine.fusion import Fusion
from engine.indicators import Indicator
from engine.panels import Members, choose, panels
from engine.panic import PanicMemory, remembered
from engine.ranking import Strata, strata
from engine.registry import get
from engine.results import Finding, Method
from engine.state import State
from engine.sweep import sweeper


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
    memory: dict[str, PanicMemory] | None = None,
    fusion: Fusion | None = None,
) -> list[Finding]:
    """Attribute every indicator against each baseline it supports and that there is.

    `preceding` holds the same agents in the same order, or is None until that window is covered: no change then.
    `visibility` [N] is followers where known; None takes interactions received. `memory` holds, by indicator, what
    earlier runs left, in the order of `current`'s agents; a run replaces its entries when all went well. Panels are
    by Aumann and Shapley whatever the method; those of an indicator with memory are held against this run's change.
    A `fusion` gives compiled sweeps where it has them.

    Raises:
        StateError: when the states, the visibility or the memory do not hold the same agents.
    """
    same_agents(current, preceding)
    seen = _visibility(current, visibility)
    memory = {} if memory is None else memory
    findings, games = _games(indicators, current, preceding)
    with sweeper(current, preceding, fusion) as sweep:
        ranking = strata(seen, tier_bounds)
        members = choose(current, preceding, seen, ranking.tiers, sizes=panel_sizes, seed=seed)
        terms = Terms(method=method, whales=whales, gap=True, ranking=ranking)
        solutions = solve(list(games.values()), sweep, terms)
        columns = ColumnTotals(current, preceding)
        for index, solution in zip(games, solutions, strict=True):
            findings[index] = _finding(
                findings[index], solution=solution, columns=columns, members=members, ranking=ranking, memory=memory
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
    ranking: Strata,
    memory: dict[str, PanicMemory],
) -> Finding:
    """Fill in what follows from phi, or why there is none."""
    if isinstance(solution, IndicatorError):
        return replace(finding, failure=str(solution))
    played, answer, shares = solution.game, solution.answer, solution.shares
    name, rho = played.indicator.name, played.indicator.memory
    try:
        seen = panels(played, members, answer.phi)
        if rho is None:
            assert shares.mass is not None
            carried = from_sums(shares.mass, ranking, signed=answer.sum_phi, square=shares.square)
            kept = answer
        else:
            earlier = memory.get(name) or PanicMemory.empty(len(answer.phi), answer.phi.device)
            kept, fresh = remembered(answer, earlier, rho)
            carried = concentration(kept.phi, ranking)
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


def _visibility(current: State, visibility: Tensor | None) -> Tensor:
    if visibility is None:
        return current.received
    if visibility.shape != (current.n,):
        raise StateError(f"the visibility has the shape {list(visibility.shape)} for {current.n} agents; give one each")
    if visibility.is_floating_point() and not bool(torch.isfinite(visibility).all()):
        raise StateError("the visibility is not finite for every agent; give 0 where it is not known")
    if visibility.numel() and float(visibility.min()) < 0:
        raise StateError("the visibility is negative for some agent; give 0 where it is not known")
    return visibility.to(current.device)
