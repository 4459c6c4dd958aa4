"""One run: every indicator against every baseline, with all that follows from phi. One that fails leaves the rest."""

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.attribution import attribute
from engine.concentration import concentration, strata
from engine.decomposition import parts
from engine.errors import EngineError, IndicatorError, StateError
from engine.indicators import Indicator, get
from engine.panels import choose, compare
from engine.panic import PanicMemory, remembered
from engine.results import Finding, Method
from engine.state import State


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
) -> list[Finding]:
    """Attribute every indicator against each baseline it supports and that there is.

    `preceding` holds the same agents in the same order, or is None until that window is covered: no change then.
    `visibility` [N] is followers where known; None takes interactions received. `memory` holds, by indicator, what
    earlier runs left, in the order of `current`'s agents; a run replaces its entries when all went well. Panels of an
    indicator with memory are held against this run's change, not against the volatility.

    Raises:
        StateError: when the states or the visibility do not hold the same agents.
    """
    seen = current.received if visibility is None else visibility.to(current.device)
    _check(current, preceding, seen)
    ranking = strata(seen, tier_bounds)
    tier = ranking.tiers
    panels = list(choose(seen, panel_sizes, seed))
    memory = {} if memory is None else memory
    findings = []
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
            before = preceding if kind == "preceding" else None
            try:
                found = attribute(indicator, current, before, method=method, whales=whales, gap=True)
                finding = Finding(name, kind, rescalable=len(found.weights) == 1)
                finding.parts = parts(indicator, found, current, before)
                for members in panels:
                    inside = attribute(
                        indicator,
                        current.pick(members.agents),
                        None if before is None else before.pick(members.agents),
                        method=method,
                        whales=whales,
                    )
                    finding.panels.append(compare(members, inside.phi, found.phi[members.agents], tier[members.agents]))
                if indicator.memory is not None:
                    before_memory = memory.get(name, PanicMemory.empty(current.n, current.device))
                    found, memory[name] = remembered(found, before_memory, indicator.memory)
                finding.attribution = found
                finding.concentration = concentration(found.phi, ranking)
            except EngineError as error:
                finding = Finding(name, kind, failure=str(error))
            findings.append(finding)
    return findings


def _check(current: State, preceding: State | None, visibility: Tensor) -> None:
    if preceding is not None and (preceding.n, preceding.device) != (current.n, current.device):
        raise StateError(
            f"the preceding window holds {preceding.n} agents on {preceding.device} and the current {current.n} on "
            f"{current.device}; give the same agents in the same order",
        )
    if visibility.shape != (current.n,):
        raise StateError(
            f"visibility has the shape {list(visibility.shape)} and there are {current.n} agents; give one each"
        )
    if visibility.is_floating_point() and not bool(torch.isfinite(visibility).all()):
        raise StateError("visibility is not finite for every agent; give 0 where it is not known")
