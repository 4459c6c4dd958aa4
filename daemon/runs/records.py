"""The records that leave the daemon, as models: the single source of their JSON Schemas.

`AttributionRecord` is the value of topic `attributions.v1` and `RunRecord` that of `runs.v1`. A run record is
written after all attributions of its run, so it is their commit marker. Attributions are encoded a column at a
time in `daemon.runs.encoding`, whose bytes a test holds against the model here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

VERSION: Final = 1
Tier = Literal["head", "middle", "tail"]
Baseline = Literal["neutral", "preceding"]
Micros = Annotated[int, Field(description="Network time, microseconds since 1970.")]
Share = Annotated[float, Field(ge=0, le=1 + 1e-9)]
Shares = dict[Tier, Share]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Record(BaseModel):
    """What all records share: they do not change, and hold nothing that is not named."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AttributionRecord(Record):
    """One agent's part in one run. Valid only once the run's own record is there."""

    v: Literal[1] = VERSION
    run: str
    lens: str
    agent: str
    tier: Tier
    visibility: int = Field(ge=0, description="What tiers are made from; the run says which measure.")
    level: dict[str, float] = Field(description="φ by indicator against the neutral baseline.")
    change: dict[str, float] | None = Field(
        default=None, description="φ by indicator against the preceding window; absent until that is covered."
    )


class Contributor(Record):
    """One of the agents of greatest |φ|; `share` is |φ| / Σ|φ|."""

    agent: str
    phi: float
    share: Share
    tier: Tier


class PanelRecord(Record):
    """The attribution as a panel of `size` agents sees it, chosen by visibility or uniformly.

    `factor` is the best rescaling of the panel's φ to the full-scale φ of the same agents, `residual` what that
    leaves of them, relative.
    """

    kind: Literal["visible", "uniform"]
    size: int
    factor: float | None
    residual: float | None
    tier_shares: Shares


class ScaleGap(Record):
    """What panels would have said. `rescalable`: one moment only, so that any panel is exact up to a factor."""

    rescalable: bool | None
    panels: list[PanelRecord]
    sentence: str | None = Field(description="What the smallest visible panel would have said, in words.")


class Measure(Record):
    """One indicator against one baseline. Where `ok` is false its attributions were not published."""

    ok: bool
    value: float | None
    baseline_value: float | None
    sum_phi: float | None
    residual: float | None = Field(description="|Σφ − (value − baseline value)|, relative.")
    lambda_error: float | None = Field(description="Relative change of λ between two quadrature orders.")
    finite_gap: float | None = Field(description="‖oceanic − Aumann-Shapley‖ / ‖oceanic‖.")
    tier_shares: Shares
    effective_contributors: float | None
    positive_mass: float | None
    negative_mass: float | None
    lorenz: list[float]
    top: list[Contributor]
    parts: dict[str, float] = Field(
        description="Σφ split by behaviour, bucket of time or moment; empty where it does not split."
    )
    scale_gap: ScaleGap


Measures = dict[Baseline, Measure]
"""What a run says of one indicator, by baseline."""


class Failure(Record):
    """Why an indicator's attributions are not in this run."""

    indicator: str
    baseline: Baseline
    reason: str


class GapRecord(Record):
    """A stretch that no continuous stream covered."""

    start: Micros
    end: Micros
    cause: str


class CoverageRecord(Record):
    """How much of a window a continuous stream covered."""

    fraction: Share
    gaps: list[GapRecord]


class Coverages(Record):
    """Coverage of both windows."""

    current: CoverageRecord
    preceding: CoverageRecord


class VisibilityRecord(Record):
    """By what the agents were ranked into tiers."""

    measure: Literal["followers", "received"]
    known: int = Field(
        ge=0, description="Agents whose followers were known; the others were placed by what they received."
    )


class RunRecord(Record):
    """One run, written after all its attributions."""

    v: Literal[1] = VERSION
    id: str
    lens: str
    start: Micros
    end: Micros
    agents: int = Field(ge=0, description="Agents active in the current or the preceding window.")
    method: Literal["aumann-shapley", "oceanic"]
    policy: str
    indicators: dict[str, Measures]
    failures: list[Failure]
    coverage: Coverages
    visibility: VisibilityRecord = VisibilityRecord(measure="received", known=0)
    watermark: Micros
    watermark_lag: float | None = Field(description="Seconds of the wall clock behind; null in a replay.")
    timings: dict[str, float] = Field(description="Seconds by phase; empty in a replay.")
    device: str
    version: str
    attributions: int = Field(ge=0, description="Attributions written for this run.")
    tombstones: int = Field(ge=0, description="Tombstones written for this run.")

    def encode(self) -> bytes:
        """Return the record as JSON."""
        return orjson.dumps(self.model_dump(mode="json"))


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that change with the settings that decide what a run says."""
    return blake2b(orjson.dumps(dict(settings), option=orjson.OPT_SORT_KEYS), digest_size=4).hexdigest()


def run_id(lens: str, end: int, settings: str) -> str:
    """Return the id of the run of a lens whose window ends at `end` µs, under a fingerprint of the settings.

    The same window under the same settings has the same id, so that a rerun rewrites what it wrote.
    """
    moment = EPOCH + timedelta(microseconds=end)
    text = f"{moment:%Y%m%dT%H%M%S}" + (f".{moment.microsecond:06d}" if moment.microsecond else "")
    return f"{lens}-{text}Z-{settings}"


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each record, by topic."""
    return {"attributions": AttributionRecord.model_json_schema(), "runs": RunRecord.model_json_schema()}
