"""The soak's short form: a small day with its silence, deletions and repeats, and nothing lost, doubled or left."""

from pathlib import Path

import pytest

from tests.campaigns.soak.campaign import soak
from tests.campaigns.soak.report import plot, table
from tests.servers.kafka import Kafka

pytestmark = [pytest.mark.campaign, pytest.mark.kafka]


def test_a_day_with_a_silent_stretch_is_counted_once_and_leaves_no_lag(tmp_path: Path, kafka: Kafka) -> None:
    report = soak(tmp_path, kafka, 300_000)
    assert (report.count_differences, report.run_differences, report.tally_differences, report.lag) == (0, 0, {}, 0)
    assert report.events > 290_000
    assert report.repeats > 10_000
    assert report.agents > 1_000
    assert report.runs > 20
    assert "| 0 of " in table(report)
    assert plot(report).count("<polyline") == 5
