"""Runs made by hand from findings, for tests of what shows a run. Numbers are small and plain on purpose."""

import numpy as np
import torch

from daemon.runs.attributions import Attributions
from daemon.runs.latest import Results
from daemon.runs.records import CoverageRecord, Coverages, GapRecord, RunRecord
from daemon.runs.summary import failures, measures
from engine.results import Attribution, Baseline, Concentration, Finding, Panel

MINUTE = 60_000_000
START = 1_783_172_280_000_000
AGENTS = ["did:plc:ann", "did:plc:bob", "did:plc:cyd", "did:plc:dee"]
PHI = [0.05, 0.3, -0.02, 0.0]


def finding(indicator: str, baseline: Baseline, *, value: float = 0.53, ok: bool = True) -> Finding:
    """A finding whose φ are PHI, with a panel of 2 that gives all to the head."""
    attribution = Attribution(
        indicator=indicator,
        baseline=baseline,
        method="aumann-shapley",
        value=value,
        baseline_value=0.2,
        phi=torch.tensor(PHI, dtype=torch.float64),
        sum_phi=sum(PHI),
        residual=1e-13 if ok else 0.2,
        lambda_error=1e-14,
        ok=ok,
        finite_gap=0.004,
    )
    return Finding(
        indicator=indicator,
        baseline=baseline,
        attribution=attribution,
        concentration=Concentration(
            tier_shares={"head": 0.31, "middle": 0.24, "tail": 0.45},
            effective_contributors=1.5,
            positive_mass=0.35,
            negative_mass=0.02,
            lorenz=[0.0, 1.0],
        ),
        panels=[
            Panel("visible", 100, factor=0.4, residual=0.7, tier_shares={"head": 0.97, "middle": 0.03, "tail": 0.0})
        ],
        rescalable=False,
    )


def results(findings: list[Finding], number: int = 0) -> Results:
    """The run of these findings, `number` minutes after the first."""
    table = Attributions(
        agents=AGENTS,
        phi={
            (found.indicator, found.baseline): found.attribution.phi.numpy()
            for found in findings
            if found.attribution and found.attribution.ok
        },
        tiers=np.array([2, 0, 1, 2], dtype=np.uint8),
        visibility=np.array([1, 90, 7, 0]),
    )
    gap = GapRecord(start=START, end=START + MINUTE, cause="downtime")
    record = RunRecord(
        id=f"all-{number:04d}",
        lens="all",
        start=START + number * MINUTE,
        end=START + (60 + number) * MINUTE,
        agents=len(AGENTS),
        method="aumann-shapley",
        policy="all",
        indicators=measures(findings, table),
        failures=failures(findings),
        coverage=Coverages(
            current=CoverageRecord(fraction=0.983, gaps=[gap]), preceding=CoverageRecord(fraction=1.0, gaps=[])
        ),
        watermark=START + (60 + number) * MINUTE,
        watermark_lag=1.5,
        timings={"snapshot": 0.001, "engine": 0.0125, "encode": 0.002, "publish": 0.003},
        device="cpu",
        version="0.1.0",
        attributions=len(AGENTS),
        tombstones=0,
    )
    return Results(record.model_dump(mode="json"), table)
