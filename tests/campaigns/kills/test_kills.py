"""The kill campaigns' short form: nothing counted twice, nothing lost, every run as it is of a daemon left in peace."""

from pathlib import Path

import pytest

from tests.campaigns.kills.campaign import Campaign
from tests.campaigns.kills.people import People
from tests.campaigns.kills.report import Report
from tests.campaigns.upstream import Upstream
from tests.servers.kafka import Kafka
from tests.servers.pds import PdsMissingError, check

pytestmark = pytest.mark.campaign


def assert_exact(report: Report, kills: int) -> None:
    assert report.kills.total() >= kills
    assert report.agents > 10
    assert report.runs > 3
    assert report.exact, report


def test_one_process_on_the_embedded_log_counts_once_however_it_is_killed(tmp_path: Path) -> None:
    assert_exact(Campaign(tmp_path, 10, 1, Upstream.of_kills(10, 1, "jetstream2")).run(), 10)


@pytest.mark.kafka
def test_bridge_worker_and_broker_count_once_however_they_are_killed(tmp_path: Path, own_kafka: Kafka) -> None:
    assert_exact(Campaign(tmp_path, 10, 1, Upstream.of_kills(10, 1, "jetstream1"), own_kafka).run(), 10)


@pytest.mark.kafka
@pytest.mark.pds
def test_what_people_do_on_a_pds_counts_once_however_all_are_killed(tmp_path: Path, own_kafka: Kafka) -> None:
    try:
        check()
    except PdsMissingError as error:
        pytest.skip(str(error))
    assert_exact(Campaign(tmp_path, 6, 3, People.of_kills(6), own_kafka).run(), 6)
