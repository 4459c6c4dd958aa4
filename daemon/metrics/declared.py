"""Every metric of the daemon, declared once: name, kind, meaning, labels.

Base units, `_total` for what only grows. Names of agents are never labels: every label here takes few values, and
`daemon.metrics.collecting` holds it to that.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Buckets in seconds for what happens many times a second."""

SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Buckets in seconds for what happens about once a minute."""


@dataclass(slots=True, frozen=True)
class Metric:
    """One metric family. A counter's name ends in `_total`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"starlingd_{name}_total", "counter", text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"starlingd_{name}", "gauge", text, labels)


BUILD = _gauge("build_info", "1; the labels say which version runs, on which device.", "version", "device", "role")
READY = _gauge("ready", "1 while /readyz answers 200.")
STUCK = _gauge("stuck_loops", "Loops that have not advanced within their limit; /livez fails while there is one.")

CONNECTED = _gauge("source_connected", "1 while the source's connection is open.", "source")
CONNECTS = _counter("source_connects", "Connections opened to the source.", "source")
DISCONNECTS = _counter("source_disconnects", "Connections to the source that ended, by cause.", "source", "cause")
SOURCE_BYTES = _counter("source_received_bytes", "Bytes received from the source.", "source")
QUEUE = _gauge("source_queue_frames", "Frames received and not yet decoded.", "source")
SOURCE_LAG = _gauge("source_lag_seconds", "Wall clock minus the time of the newest event read.", "source")

FRAMES = _counter("ingest_frames", "Frames (or lines) read from the source.", "source")
OPERATIONS = _counter("ingest_operations", "Operations read: each is accepted, ignored or rejected.", "source")
ACCEPTED = _counter("ingest_accepted", "Operations that became events.", "source")
EVENTS = _counter("ingest_events", "Agent events written to the log, by kind.", "source", "kind")
IGNORED = _counter("ingest_ignored", "Operations of no interest, by reason.", "source", "reason")
REJECTED = _counter("ingest_rejected", "Operations that could not be read, by reason.", "source", "reason")
REPEATED = _counter("ingest_duplicates", "Operations dropped because the log already held them.", "source")
DEADLETTERS = _counter("deadletters", "Dead letters written to their topic.", "source")
DEADLETTERS_DROPPED = _counter("deadletters_dropped", "Rejected operations beyond the bound on dead letters.", "source")
CURSOR_SAVES = _counter("cursor_saves", "Times the place in the source was saved durably.", "source")
SOURCE_GAPS = _counter("source_gaps", "Gaps that a source said, by cause, as the bridge wrote them.", "source", "cause")
GAPS = _counter("gaps", "Stretches of time that no continuous stream covered, by cause.", "cause")
GAP_SECONDS = _counter("gap_seconds", "Length of those stretches, by cause.", "cause")

APPENDED = _counter("log_appended_records", "Records that the log acknowledged.")
APPENDED_BYTES = _counter("log_appended_bytes", "Bytes that the log acknowledged.")
APPENDS = _counter("log_appends", "Appends that the log acknowledged.")
APPEND_SECONDS = _counter("log_append_seconds", "Time spent waiting for the log to acknowledge.")
APPEND_RETRIES = _counter("log_retries", "Appends tried again.")
LOST = _counter("log_lost_records", "Records that retention took before they were read.")
LOG_LAG = _gauge("log_lag_records", "Records in the events topic not yet folded, by partition.", "partition")

WATERMARK = _gauge("watermark_timestamp_seconds", "Time before which the windows are complete.")
WATERMARK_LAG = _gauge("watermark_lag_seconds", "Wall clock minus the watermark.")
FOLDED = _counter("folded_events", "Agent events counted once by the fold.")
DUPLICATES = _counter("folded_duplicates", "Records dropped because they were folded before.")
SUPERSEDED = _counter("superseded_events", "Events of a bridge whose source a newer one had claimed: not counted.")
LATE = _counter("late_events", "Events that came after their window had closed; most still count in later ones.")
DROPPED = _counter("dropped_events", "Events that reach no window, by reason.", "reason")
OTHER_KINDS = _counter("uncounted_events", "Events that are no action, by kind.", "kind")
MALFORMED = _counter("malformed_records", "Records of the events topic that could not be read.")
ERASED = _counter(
    "erased_agents", "Accounts forgotten because they were deleted, taken down, suspended or deactivated."
)
EVICTED = _counter("evicted_agents", "Agents whose slot was freed because no held bucket knows them.")
SLOTS = _gauge("window_slots", "Agents that have a slot: active in a held bucket.")
AGENTS = _gauge("window_agents", "Agents active in the current or the preceding window of the newest run.", "lens")

CHECKPOINTS = _counter("checkpoints", "Checkpoints written.")
CHECKPOINT_FAILURES = _counter("checkpoint_failures", "Checkpoints that could not be written.")
CHECKPOINTS_DAMAGED = _counter("checkpoints_damaged", "Checkpoints passed over at the start: damaged, or of no use.")
CHECKPOINT_AGE = _gauge("checkpoint_age_seconds", "Time since the newest checkpoint was written.")
CHECKPOINT_SECONDS = _gauge("checkpoint_duration_seconds", "Time that the newest checkpoint took.")
CHECKPOINT_BYTES = _gauge("checkpoint_bytes", "Size of the newest checkpoint.")

FOLLOWER_REQUESTS = _counter("follower_requests", "Requests to the AppView for followers.")
FOLLOWERS_ASKED = _counter("followers_asked", "Accounts asked for in them.")
FOLLOWER_FAILURES = _counter("follower_failures", "Requests for followers that gave no answer, by cause.", "cause")
FOLLOWER_PAUSES = _counter("follower_pauses", "Times the AppView asked to be left alone for a while.")
FOLLOWER_BACKLOG = _gauge("follower_backlog_accounts", "Accounts whose followers are still to be asked for.")
FOLLOWERS_KEPT = _gauge("followers_kept_accounts", "Accounts of which an answer is kept, known to the AppView or not.")
FOLLOWERS_KNOWN = _gauge("followers_known_agents", "Agents of the newest run whose followers were known.", "lens")

RUNS = _counter("runs", "Runs whose record was written.", "lens")
RUN_PHASES = Metric(
    "starlingd_run_duration_seconds", "histogram", "Time of a run, by phase.", ("lens", "phase"), buckets=SLOW
)
RUN_END = _gauge("run_window_end_timestamp_seconds", "End of the window of the newest run.", "lens")
PUBLISHED = _counter("attributions", "Attribution records written.", "lens")
TOMBSTONES = _counter("tombstones", "Tombstones written to the attribution topic.", "lens")
FAILURES = _counter("finding_failures", "Findings not published: failed or out of tolerance.", "lens", "indicator")
COVERAGE = _gauge("coverage_ratio", "Share of the newest run's window that a stream covered.", "lens", "window")

_FINDING = ("lens", "indicator", "baseline")
VALUE = _gauge("indicator_value", "Value of the indicator over the current window.", "lens", "indicator")
BASELINE_VALUE = _gauge("indicator_baseline_value", "Value of the indicator at the baseline.", *_FINDING)
RESIDUAL = _gauge("attribution_residual_ratio", "How far Σφ misses value minus baseline value, relative.", *_FINDING)
LAMBDA_ERROR = _gauge("attribution_lambda_error_ratio", "Change of λ between quadrature orders, relative.", *_FINDING)
FINITE_GAP = _gauge("attribution_finite_gap_ratio", "Distance of Aumann-Shapley from oceanic, relative.", *_FINDING)
TIER_SHARE = _gauge("tier_share_ratio", "Share of Σ|φ| that a tier of visibility carries.", *_FINDING, "tier")
CONTRIBUTORS = _gauge("effective_contributors", "1/Σ(|φ|/Σ|φ|)²: how many agents carry it, in effect.", *_FINDING)
PANEL_RESIDUAL = _gauge(
    "panel_residual_ratio", "What a panel's rescaled φ misses of the full-scale one.", *_FINDING, "panel", "size"
)

METRICS: tuple[Metric, ...] = tuple(value for value in dict(globals()).values() if isinstance(value, Metric))
