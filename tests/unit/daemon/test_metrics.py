"""The metrics: declared once, described, bounded, and read from the parts' live counters."""

import re
from collections import Counter

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from consumers.bridge.bridge import BridgeStats
from consumers.log import LogStats
from consumers.sources import Gap
from consumers.sources.live import SourceStats
from consumers.windows.group import Windows
from consumers.windows.shape import Shape
from consumers.worker.checkpoints import CheckpointStats
from daemon.metrics import declared as m
from daemon.metrics import readings
from daemon.metrics.collecting import MOST_VALUES, Instruments, Reading
from daemon.runs.latest import Latest, Results

LABELS = {
    "version", "device", "role", "source", "cause", "kind", "reason", "partition", "lens", "phase", "indicator",
    "window", "baseline", "tier", "panel", "size",
}  # fmt: skip
"""Every label there is. Each takes few values; none is an agent, a URI or a run."""

MEASURE = {
    "value": 0.5, "baseline_value": 0.25, "residual": 1e-15, "lambda_error": None, "finite_gap": 0.01,
    "effective_contributors": 12.5, "tier_shares": {"head": 0.75, "tail": 0.25},
    "scale_gap": {"panels": [{"kind": "visible", "size": 100, "residual": 0.9}]},
}  # fmt: skip
RUN = {
    "id": "all-1", "lens": "all", "attributions": 3, "tombstones": 1,
    "end": 60_000_000, "agents": 3, "timings": {"engine": 0.02, "publish": 0.3},
    "coverage": {"current": {"fraction": 1.0, "gaps": []}, "preceding": {"fraction": 0.5, "gaps": []}},
    "indicators": {"activity": {"neutral": MEASURE}},
    "failures": [{"indicator": "cascade", "baseline": "neutral", "reason": "not finite"}],
}  # fmt: skip


def scrape(instruments: Instruments) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(instruments.registry).decode())
        for sample in family.samples
    }


def reading(*given: Reading) -> Instruments:
    instruments = Instruments()
    instruments.readings.add(lambda: given)
    return instruments


@pytest.mark.parametrize("metric", m.METRICS, ids=lambda metric: metric.name)
def test_each_is_described_and_named_by_the_conventions(metric: m.Metric) -> None:
    assert re.fullmatch(r"[A-Z1].*\.", metric.help), metric.help
    assert re.fullmatch(r"starlingd(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)(_|$)", metric.name)
    assert set(metric.labels) <= LABELS


def test_no_name_is_declared_twice() -> None:
    assert [name for name, count in Counter(metric.name for metric in m.METRICS).items() if count > 1] == []


def test_a_label_that_takes_ever_new_values_becomes_other() -> None:
    instruments = reading(*((m.IGNORED, ("sim:1", f"reason {n}"), 1.0) for n in range(MOST_VALUES + 10)))
    for _ in range(2):
        found = [value for (name, _), value in scrape(instruments).items() if name == m.IGNORED.name]
        assert len(found) == MOST_VALUES + 1
        assert sum(found) == MOST_VALUES + 10


def test_no_account_is_ever_a_label() -> None:
    found = scrape(reading((m.GAPS, ("did:plc:abc",), 2.0)))
    assert found[m.GAPS.name, (("cause", "other"),)] == 2.0
    assert not any("did:" in value for _, labels in found for _, value in labels)


def test_partitions_are_bounded_by_the_configuration_alone() -> None:
    found = scrape(reading(*((m.LOG_LAG, (str(n),), float(n)) for n in range(100))))
    assert found[m.LOG_LAG.name, (("partition", "99"),)] == 99.0


def test_what_the_log_counted_is_read_at_each_scrape() -> None:
    stats = LogStats()
    instruments = Instruments()
    instruments.readings.add(lambda: readings.of_log(stats))
    stats.appended = 5
    assert scrape(instruments)[m.APPENDED.name, ()] == 5
    stats.appended = 7
    assert scrape(instruments)[m.APPENDED.name, ()] == 7


def test_what_the_fold_counted_is_read_by_reason() -> None:
    windows = Windows(Shape(), range(2))
    windows.stats.events, windows.stats.late = 9, 2
    windows.stats.dropped["too_late"] = 1
    windows.gaps.add(Gap(0, 2_500_000, "outdated_cursor"))
    instruments = Instruments()
    instruments.readings.add(lambda: readings.of_windows(windows))
    found = scrape(instruments)
    assert found[m.FOLDED.name, ()] == 9
    assert found[m.LATE.name, ()] == 2
    assert found[m.DROPPED.name, (("reason", "too_late"),)] == 1
    assert found[m.GAP_SECONDS.name, (("cause", "outdated_cursor"),)] == 2.5


def test_the_newest_run_is_read_and_what_it_lacks_is_absent() -> None:
    latest = Latest()
    instruments = Instruments()
    instruments.readings.add(lambda: readings.of_runs(latest))
    assert not any(name == m.VALUE.name for name, _ in scrape(instruments))
    latest.swap(Results(RUN, None))  # type: ignore[arg-type]  # the record alone is read here
    for _ in range(2):
        instruments.ran(RUN)
    found = scrape(instruments)
    finding = (("baseline", "neutral"), ("indicator", "activity"), ("lens", "all"))
    assert found[m.VALUE.name, (("indicator", "activity"), ("lens", "all"))] == 0.5
    assert found[m.RESIDUAL.name, finding] == 1e-15
    assert (m.LAMBDA_ERROR.name, finding) not in found
    assert found[m.TIER_SHARE.name, (*finding, ("tier", "head"))] == 0.75
    assert found[m.PANEL_RESIDUAL.name, (*finding, ("panel", "visible"), ("size", "100"))] == 0.9
    assert found[m.RUN_END.name, (("lens", "all"),)] == 60
    assert found[f"{m.RUN_PHASES.name}_count", (("lens", "all"), ("phase", "engine"))] == 2
    lens = (("lens", "all"),)
    assert [found[metric.name, lens] for metric in (m.RUNS, m.PUBLISHED, m.TOMBSTONES)] == [2, 6, 2]
    assert found[m.FAILURES.name, (("indicator", "cascade"), *lens)] == 2


def test_each_instance_has_a_registry_of_its_own() -> None:
    first, second = Instruments(), Instruments()
    first.readings.add(lambda: [(m.READY, (), 1.0)])
    assert (m.READY.name, ()) in scrape(first)
    assert (m.READY.name, ()) not in scrape(second)
    assert any(name.startswith("process_") for name, _ in scrape(second))


def test_what_a_source_gave_is_read_by_kind_and_reason() -> None:
    stats = BridgeStats(frames=5, operations=6, t=1_000_000)
    stats.events.update(like=4)
    stats.ignored.update(other_collection=1)
    stats.rejected.update(not_json=2)
    found = scrape(reading(*readings.of_bridge("sim:1", stats, wall=None)))
    source = ("source", "sim:1")
    assert found[m.FRAMES.name, (source,)] == 5
    assert found[m.EVENTS.name, (("kind", "like"), source)] == 4
    assert found[m.IGNORED.name, (("reason", "other_collection"), source)] == 1
    assert found[m.REJECTED.name, (("reason", "not_json"), source)] == 2
    assert (m.SOURCE_LAG.name, (source,)) not in found
    live = scrape(reading(*readings.of_bridge("relay:x", stats, wall=3_500_000)))
    assert live[m.SOURCE_LAG.name, (("source", "relay:x"),)] == 2.5


def test_a_connection_is_read_with_why_it_was_lost() -> None:
    stats = SourceStats(connects=2, connected=True)
    stats.disconnects.update(stall=1)
    found = scrape(reading(*readings.of_socket("relay:x", stats)))
    assert found[m.CONNECTED.name, (("source", "relay:x"),)] == 1
    assert found[m.DISCONNECTS.name, (("cause", "stall"), ("source", "relay:x"))] == 1


def test_the_age_of_a_checkpoint_is_by_the_clock_that_stamped_it() -> None:
    none = scrape(reading(*readings.of_checkpoints(CheckpointStats(), 1, now=9_000_000)))
    assert none[m.CHECKPOINT_FAILURES.name, ()] == 1
    assert (m.CHECKPOINT_AGE.name, ()) not in none
    found = scrape(reading(*readings.of_checkpoints(CheckpointStats(saved=3, saved_at=4_000_000), 0, now=9_000_000)))
    assert found[m.CHECKPOINT_AGE.name, ()] == 5
