"""Runs as plain lines, for where there is no terminal: what scripts and logs read."""

from collections.abc import Iterator, Mapping

from daemon.runs.records import Measures, RunRecord
from daemon.runs.sentences import percent
from daemon.views.figures import change_of, figure, moment, signed

NAMED = 3


def lines(record: RunRecord, marks: Mapping[str, str] | None = None, top: int = NAMED) -> Iterator[str]:
    """Yield a run: one line of what was run, one for each indicator, one for each failure."""
    yield (
        f"{moment(record.start)}-{moment(record.end)} {record.id}: {record.agents:,} accounts, "
        f"coverage {percent(record.coverage.current.fraction)}, {record.attributions:,} records, "
        f"{record.tombstones:,} tombstones"
    )
    for name, measures in record.indicators.items():
        yield f"  {name} {_summary(measures, marks or {}, top)}"
    for failure in record.failures:
        yield f"  not published: {failure.indicator} against {failure.baseline}: {failure.reason}"


def _summary(measures: Measures, marks: Mapping[str, str], top: int) -> str:
    shown = measures.get("neutral") or measures["preceding"]
    parts = [figure(shown.value)]
    moved = change_of(measures)
    if moved is not None:
        parts.append(f"({signed(moved)})")
    parts.append(f"residual {figure(shown.residual, 2)}")
    carriers = [
        f"{row.agent} {percent(row.share)} {row.tier}" + (f" [{marks[row.agent]}]" if row.agent in marks else "")
        for row in shown.top[:top]
    ]
    return " ".join(parts) + (" | " + ", ".join(carriers) if carriers else "")
