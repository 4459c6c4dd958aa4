"""Which counter of which part is which metric: each function here reads one part's live counters at a scrape."""

import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from consumers.bridge.bridge import BridgeStats
from consumers.followers.keeper import FollowerStats
from consumers.log import LogStats
from consumers.sources.live import SourceStats
from consumers.windows.group import Windows
from consumers.worker.checkpoints import CheckpointStats
from consumers.worker.worker import Worker
from daemon.metrics import declared as m
from daemon.metrics.collecting import Reading
from daemon.runs.latest import Latest
from daemon.service.building import LIVE
from daemon.service.health import Health

if TYPE_CHECKING:
    from daemon.service.composition import Service

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
    yield m.SUPERSEDED, (), stats.superseded
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
    if known := run.get("visibility", {}).get("known"):
        yield m.FOLLOWERS_KNOWN, (lens,), known
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


def of_worker(worker: Worker, *, wall: int | None) -> Iterator[Reading]:
    """Read where the worker is. `wall`: the wall clock, µs, where the events are of the present."""
    yield from of_windows(worker.windows)
    for partition, behind in worker.lags.items():
        yield m.LOG_LAG, (str(partition),), behind
    if (mark := worker.stats.watermark) is not None:
        yield m.WATERMARK, (), mark * MICRO
        if wall is not None:
            yield m.WATERMARK_LAG, (), (wall - mark) * MICRO


def of_checkpoints(stats: CheckpointStats, failures: int, now: int) -> Iterator[Reading]:
    """Read what was saved; `now` is of the clock by which it was."""
    yield m.CHECKPOINTS, (), stats.saved
    yield m.CHECKPOINT_FAILURES, (), failures
    yield m.CHECKPOINTS_DAMAGED, (), stats.damaged
    if stats.saved_at is not None:
        yield m.CHECKPOINT_AGE, (), (now - stats.saved_at) * MICRO
        yield m.CHECKPOINT_SECONDS, (), stats.seconds
        yield m.CHECKPOINT_BYTES, (), stats.bytes


def of_followers(stats: FollowerStats, kept: int) -> Iterator[Reading]:
    """Read what was asked of the AppView; `kept` answers."""
    yield m.FOLLOWER_REQUESTS, (), stats.requests
    yield m.FOLLOWERS_ASKED, (), stats.asked
    yield m.FOLLOWER_PAUSES, (), stats.pauses
    yield m.FOLLOWER_BACKLOG, (), stats.backlog
    yield m.FOLLOWERS_KEPT, (), kept
    for cause, count in stats.failures.items():
        yield m.FOLLOWER_FAILURES, (cause,), count


def of_socket(source: str, stats: SourceStats) -> Iterator[Reading]:
    """Read what happened to a live source's connection."""
    yield m.CONNECTED, (source,), stats.connected
    yield m.CONNECTS, (source,), stats.connects
    yield m.SOURCE_BYTES, (source,), stats.bytes
    yield m.QUEUE, (source,), stats.queued_frames
    for cause, count in stats.disconnects.items():
        yield m.DISCONNECTS, (source, cause), count


def of_health(health: Health) -> Iterator[Reading]:
    """Read whether the daemon lives and is ready."""
    yield m.READY, (), not health.unready()
    yield m.STUCK, (), len(health.stuck())


def of_bridge(source: str, stats: BridgeStats, *, wall: int | None) -> Iterator[Reading]:
    """Read what came from a source and what became of it. `wall`: as for the worker."""
    yield m.FRAMES, (source,), stats.frames
    yield m.OPERATIONS, (source,), stats.operations
    yield m.ACCEPTED, (source,), stats.accepted
    yield m.REPEATED, (source,), stats.duplicates
    yield m.DEADLETTERS, (source,), stats.deadletters
    yield m.DEADLETTERS_DROPPED, (source,), stats.overflow
    yield m.CURSOR_SAVES, (source,), stats.saves
    for metric, counter in ((m.EVENTS, stats.events), (m.IGNORED, stats.ignored), (m.REJECTED, stats.rejected)):
        for what, count in counter.items():
            yield metric, (source, what), count
    for cause, count in stats.gaps.items():
        yield m.SOURCE_GAPS, (source, cause), count
    if wall is not None and stats.t is not None:
        yield m.SOURCE_LAG, (source,), (wall - stats.t) * MICRO


def of_service(service: "Service") -> Iterator[Reading]:
    """Read every part that this daemon has."""
    wall = time.time_ns() // 1000 if service.config.source.kind in LIVE else None
    yield m.BUILD, (version("starlingd"), service.config.engine.device, service.role), 1
    yield from of_health(service.health)
    yield from of_log(service.log.stats)
    for bridge in service.bridges:
        yield from of_bridge(bridge.source.name, bridge.stats, wall=wall)
        stats = getattr(bridge.source, "stats", None)
        if isinstance(stats, SourceStats):
            yield from of_socket(bridge.source.name, stats)
    if service.worker:
        yield from of_worker(service.worker, wall=wall)
        yield from of_runs(service.latest)
    if service.followers:
        yield from of_followers(service.followers.stats, len(service.followers.cache.answers))
    if service.worker and service.checkpoints:
        yield from of_checkpoints(service.checkpoints.stats, service.worker.stats.checkpoint_failures, service.clock())
