"""The kill campaign's short form: ten kills on each log, nothing counted twice, nothing lost, every run the same."""

from pathlib import Path

import pytest

from tests.campaigns.kills import Campaign
from tests.campaigns.report import Report
from tests.servers.kafka import Kafka

pytestmark = pytest.mark.campaign


def assert_exact(report: Report, kills: int) -> None:
    assert report.kills.total() >= kills
    assert report.agents > 50
    assert report.runs > kills
    assert (report.count_differences, report.run_differences) == (0, 0), report


def test_one_process_on_the_embedded_log_counts_once_however_it_is_killed(tmp_path: Path) -> None:
    assert_exact(Campaign(tmp_path, 10, 1, None, "jetstream2").run(), 10)


@pytest.mark.kafka
def test_bridge_worker_and_broker_count_once_however_they_are_killed(tmp_path: Path, own_kafka: Kafka) -> None:
    assert_exact(Campaign(tmp_path, 10, 1, own_kafka, "jetstream1").run(), 10)
