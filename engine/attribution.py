"""Who carries a phenomenon: the Aumann-Shapley value of every agent, by two sweeps and K scalar integrals.

Promises that Σφ = F(M¹) − F(M⁰) to the tolerance, or that the answer says that it does not.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from engine import oceanic, path
from engine.contributions import Game, Row, differences, game, needs_mean, with_mean
from engine.errors import StateError
from engine.indicators import Indicator
from engine.results import Attribution, Baseline, Method
from engine.state import State
from engine.sweep import Sweeper, sweeper
from engine.totals import Alone, Meeting, Totals, mean_of_active, totals

TOLERANCE = 1e-9
"""Greatest relative residual and lambda error of an answer that may be published."""
_ROUNDING = 2 * torch.finfo(torch.float64).eps
_TINY = torch.finfo(torch.float64).tiny


def attribute(
    indicator: Indicator,
    state: State,
    baseline: State | None,
    *,
    method: Method = "aumann-shapley",
    whales: int = 6,
    tolerance: float = TOLERANCE,
    gap: bool = False,
    meeting: Meeting | None = None,
) -> Attribution:
    """Attribute F's rise from the baseline to the agents of `state`.

    `baseline` None is the indicator's neutral one; otherwise a State of the same agents in the same order. `gap` asks
    for `finite_gap` under either method. With a `meeting` each rank gives its own agents and gets their phi.

    Raises:
        StateError: when the two states do not hold the same number of agents on one device.
        IndicatorError: when the indicator does not support the baseline or cannot be evaluated.
    """
    kind: Baseline = "neutral" if baseline is None else "preceding"
    if baseline is not None and (baseline.n, baseline.device) != (state.n, state.device):
        raise StateError(
            f"the baseline holds {baseline.n} agents on {baseline.device} and the state {state.n} on {state.device}; "
            "give the same agents in the same order",
        )
    meeting = meeting or Alone()
    finite = gap or method == "oceanic"
    with sweeper(state.device) as sweep:
        played = game(indicator, kind, state.device)
        if needs_mean(indicator, kind):
            played = with_mean(played, mean_of_active(played, state, sweep, meeting))
        sums = totals(played, state, baseline, whales=whales, spread=finite, sweep=sweep, meeting=meeting)
        plain = path.weights(indicator, sums.start[None], sums.end[None])[0]
        ocean = oceanic.weights(indicator, sums) if finite else None
        phi, sum_phi, finite_gap = second_sweep(
            played,
            state=state,
            before=baseline,
            plain=plain,
            ocean=ocean,
            method=method,
            sums=sums,
            sweep=sweep,
            meeting=meeting,
        )
    published_error = plain.error if ocean is None or method != "oceanic" else ocean.error
    return certified(
        Attribution(
            indicator=indicator.name,
            baseline=kind,
            method=method,
            value=plain.value,
            baseline_value=plain.baseline_value,
            phi=phi,
            sum_phi=sum_phi,
            residual=0.0,
            lambda_error=published_error,
            ok=False,
            finite_gap=finite_gap,
            weights=tuple(plain.weights.tolist()),
            start=tuple(sums.start.tolist()),
            end=tuple(sums.end.tolist()),
        ),
        rounding=float((plain.weights.abs() * (sums.end.abs() + sums.start.abs())).sum()),
        tolerance=tolerance,
    )


def second_sweep(
    played: Game,
    *,
    state: State,
    before: State | None,
    plain: path.Lambda,
    ocean: oceanic.Ocean | None,
    method: Method,
    sums: Totals,
    sweep: Sweeper,
    meeting: Meeting,
) -> tuple[Tensor, float, float | None]:
    """Give every agent its phi, their sum over all ranks and, where `ocean` is known, the gap between the methods."""
    phi = torch.empty(state.n, dtype=torch.float64, device=state.device)

    def part(start: int, stop: int) -> Tensor:
        x = state.part(start, stop)
        own = played.own(x)
        base = played.base(x, own, None if before is None else before.part(start, stop))
        first = combined(plain.weights, own, base, x)
        if ocean is None:
            phi[start:stop] = first
            return first.sum()[None]
        second = oceanic.phi(ocean, differences(own, base), x, start=start, whales=sums.whales)
        chosen = second if method == "oceanic" else first
        phi[start:stop] = chosen
        return torch.stack((chosen.sum(), ((second - first) ** 2).sum(), (second**2).sum()))

    met = meeting.total(torch.stack(sweep.over(state.n, part)).sum(0)).cpu()
    if ocean is None:
        return phi, float(met[0]), None
    apart, size = float(met[1]), float(met[2])
    return phi, float(met[0]), (apart / size) ** 0.5 if size > 0 else 0.0


def combined(weights: Tensor, own: Sequence[Row], base: Sequence[Row], x: State) -> Tensor:
    """Σₖ λₖ (own − base) with each distinct row read once, float64 [n]."""
    factors: dict[int, tuple[Tensor, float]] = {}
    for weight, mine, other in zip(weights.tolist(), own, base, strict=True):
        if mine is other:
            continue
        for row, sign in ((mine, weight), (other, -weight)):
            if row is not None:
                factors[id(row)] = (row, factors.get(id(row), (row, 0.0))[1] + sign)
    phi: Tensor | None = None
    for row, factor in factors.values():
        phi = row * factor if phi is None else phi.add_(row, alpha=factor)
    return phi if phi is not None else torch.zeros(x.n, dtype=torch.float64, device=x.device)


def certified(answer: Attribution, *, rounding: float, tolerance: float) -> Attribution:
    """Fill in the residual and whether the answer may be published.

    `rounding` is the size of the terms that F's rise is made of: a residual that float64 cannot tell from zero at
    that size is none.
    """
    rise = answer.value - answer.baseline_value
    scale = max(abs(answer.value), abs(answer.baseline_value), _ROUNDING / tolerance * rounding, _TINY)
    answer.residual = abs(answer.sum_phi - rise) / scale
    answer.ok = answer.residual <= tolerance and answer.lambda_error <= tolerance
    return answer
