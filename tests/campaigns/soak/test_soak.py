"""The soak's short form: a small day with its silence, deletions and repeats, and nothing lost, doubled or left."""

import math
from pathlib import Path

import pytest

from tests.campaigns.soak.campaign import soak
from tests.campaigns.soak.report import Report, Sample, plot, table
from tests.servers.kafka import Kafka

pytestmark = [pytest.mark.campaign, pytest.mark.kafka]


def test_a_day_with_a_silent_stretch_is_counted_once_and_leaves_no_lag(tmp_path: Path, kafka: Kafka) -> None:
    report = soak(tmp_path, kafka, 300_000, every=0.1)
    assert (report.count_differences, report.run_differences, report.tally_differences, report.lag) == (0, 0, {}, 0)
    assert report.events > 290_000
    assert report.repeats > 10_000
    assert report.agents > 1_000
    assert report.runs > 20
    assert "| 0 of " in table(report)
    assert plot(report).count("<polyline") == 5


def test_a_quarter_that_no_sample_saw_is_not_taken_for_one_without_drift() -> None:
    report = Report(samples=[Sample(1.0, 100.0, 1, 0, 0.0, watermark=9.0)])
    assert report.quarter(2) == 100.0
    assert math.isnan(report.drift)
