"""Which counter of which part is which metric: each function here reads one part's live counters at a scrape."""

from collections.abc import Iterator, Mapping
from typing import Any

from consumers.log import LogStats
from consumers.windows.group import Windows
from daemon import metrics as m
from daemon.collecting import Reading
from daemon.latest import Latest

MICRO = 1e-6


def of_log(stats: LogStats) -> Iterator[Reading]:
    """Read what the log acknowledged."""
    yield m.APPENDED, (), stats.appended
    yield m.APPENDED_BYTES, (), stats.bytes
    yield m.APPENDS, (), stats.appends
    yield m.APPEND_SECONDS, (), stats.append_seconds
    yield m.APPEND_RETRIES, (), stats.retries
    yield m.LOST, (), stats.lost


def of_windows(windows: Windows) -> Iterator[Reading]:
    """Read what the fold counted, and the gaps that reached it."""
    stats = windows.stats
    yield m.FOLDED, (), stats.events
    yield m.DUPLICATES, (), stats.duplicates
    yield m.LATE, (), stats.late
    yield m.MALFORMED, (), stats.malformed
    yield m.ERASED, (), stats.erased
    yield m.EVICTED, (), windows.evicted
    yield m.SLOTS, (), windows.agents
    for reason, count in stats.dropped.items():
        yield m.DROPPED, (reason,), count
    for kind, count in stats.kinds.items():
        yield m.OTHER_KINDS, (kind,), count
    for cause, count in windows.gaps.seen.items():
        yield m.GAPS, (cause,), count
    for cause, length in windows.gaps.microseconds.items():
        yield m.GAP_SECONDS, (cause,), length * MICRO


def of_runs(latest: Latest) -> Iterator[Reading]:
    """Read the newest run's record."""
    run = latest.run
    if run is None:
        return
    lens = run["lens"]
    yield m.RUN_END, (lens,), run["end"] * MICRO
    yield m.AGENTS, (lens,), run["agents"]
    for window, coverage in run["coverage"].items():
        yield m.COVERAGE, (lens, window), coverage["fraction"]
    for indicator, baselines in run["indicators"].items():
        for baseline, measure in baselines.items():
            yield from _finding(lens, indicator, baseline, measure)


def _finding(lens: str, indicator: str, baseline: str, measure: Mapping[str, Any]) -> Iterator[Reading]:
    key = (lens, indicator, baseline)
    if baseline == "neutral" and measure["value"] is not None:
        yield m.VALUE, (lens, indicator), measure["value"]
    for metric, name in (
        (m.BASELINE_VALUE, "baseline_value"),
        (m.RESIDUAL, "residual"),
        (m.LAMBDA_ERROR, "lambda_error"),
        (m.FINITE_GAP, "finite_gap"),
        (m.CONTRIBUTORS, "effective_contributors"),
    ):
        if measure[name] is not None:
            yield metric, key, measure[name]
    for tier, share in measure["tier_shares"].items():
        yield m.TIER_SHARE, (*key, tier), share
    for panel in measure["scale_gap"]["panels"]:
        if panel["residual"] is not None:
            yield m.PANEL_RESIDUAL, (*key, panel["kind"], str(panel["size"])), panel["residual"]
