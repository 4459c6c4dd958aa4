"""From the engine's findings to the measures and failures of a run record."""

import math
from collections.abc import Mapping, Sequence

from daemon.runs.attributions import Attributions, Key
from daemon.runs.records import Contributor, Failure, Measure, Measures, PanelRecord, ScaleGap
from daemon.runs.sentences import panel_sentence
from engine.results import Finding, Panel, Tier

TOP = 10
"""Agents named in a run record, per indicator and baseline."""


def is_good(finding: Finding) -> bool:
    """Tell whether a finding may be published: it is there, within tolerance, and every figure of it is finite."""
    attribution = finding.attribution
    return (
        finding.failure is None
        and attribution is not None
        and attribution.ok
        and math.isfinite(attribution.sum_phi)
        and math.isfinite(attribution.value)
    )


def measures(findings: Sequence[Finding], table: Attributions) -> dict[str, Measures]:
    """Return what each finding says, by indicator and baseline; one that failed outright says nothing."""
    said: dict[str, Measures] = {}
    for finding in findings:
        if finding.attribution is not None:
            said.setdefault(finding.indicator, {})[finding.baseline] = _measure(finding, table)
    return said


def failures(findings: Sequence[Finding]) -> list[Failure]:
    """Return why each finding that is not published is not."""
    return [
        Failure(indicator=finding.indicator, baseline=finding.baseline, reason=_reason(finding))
        for finding in findings
        if not is_good(finding)
    ]


def _reason(finding: Finding) -> str:
    if finding.failure is not None or finding.attribution is None:
        return finding.failure or "the engine gave no attribution"
    found = finding.attribution
    within = f"not within tolerance: residual {found.residual:.3g}, λ error {found.lambda_error:.3g}"
    return within if found.reason is None else f"{within}; {found.reason}"


def _measure(finding: Finding, table: Attributions) -> Measure:
    found, spread = finding.attribution, finding.concentration
    assert found is not None
    return Measure(
        ok=is_good(finding),
        value=finite(found.value),
        baseline_value=finite(found.baseline_value),
        sum_phi=finite(found.sum_phi),
        residual=finite(found.residual),
        lambda_error=finite(found.lambda_error),
        finite_gap=finite(found.finite_gap),
        tier_shares=shares(spread.tier_shares) if spread else {},
        effective_contributors=finite(spread.effective_contributors) if spread else None,
        positive_mass=finite(spread.positive_mass) if spread else None,
        negative_mass=finite(spread.negative_mass) if spread else None,
        lorenz=[point for point in map(finite, spread.lorenz) if point is not None] if spread else [],
        top=_top(table, (finding.indicator, finding.baseline)),
        parts={name: float(part) for name, part in finding.parts.items() if math.isfinite(part)},
        scale_gap=_scale_gap(finding),
    )


def _top(table: Attributions, key: Key) -> list[Contributor]:
    return [
        Contributor(agent=row["agent"], phi=row["phi"], share=min(row["share"], 1.0), tier=row["tier"])
        for row in table.top(*key, limit=TOP) or ()
    ]


def _scale_gap(finding: Finding) -> ScaleGap:
    visible = [panel for panel in finding.panels if panel.kind == "visible"]
    sentence = None
    if visible and finding.concentration:
        panel = min(visible, key=lambda panel: panel.size)
        named = finding.indicator if finding.baseline == "neutral" else f"the change of {finding.indicator}"
        sentence = panel_sentence(named, panel.size, panel.tier_shares, finding.concentration.tier_shares)
    return ScaleGap(
        rescalable=finding.rescalable, panels=[_panel(panel) for panel in finding.panels], sentence=sentence
    )


def _panel(panel: Panel) -> PanelRecord:
    return PanelRecord(
        kind=panel.kind,
        size=panel.size,
        factor=finite(panel.factor),
        residual=finite(panel.residual),
        tier_shares=shares(panel.tier_shares),
    )


def finite(number: float | None) -> float | None:
    """Return the number where JSON has a form for it, else None."""
    return float(number) if number is not None and math.isfinite(number) else None


def shares(parts: Mapping[Tier, float]) -> dict[Tier, float]:
    """Return shares within [0, 1], which rounding may have left by a hair; what is no number is left out."""
    return {name: min(max(float(share), 0.0), 1.0) for name, share in parts.items() if math.isfinite(share)}
