"""Fixtures shared by all tests: the real servers, started once and only where a test asks for them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.kafka import Kafka, KafkaMissingError, jars


@pytest.fixture(scope="session")
def kafka_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Give a new folder for a broker, or skip, saying why, where Kafka cannot be run or fetched on this machine."""
    try:
        jars()
    except KafkaMissingError as error:
        pytest.skip(str(error))
    return lambda: tmp_path_factory.mktemp("kafka")


@pytest.fixture(scope="session")
def kafka(kafka_folder: Callable[[], Path]) -> Iterator[Kafka]:
    """A running broker, shared by the session: use topics of your own, do not stop it."""
    with Kafka(kafka_folder(), brief=True) as broker:
        yield broker


@pytest.fixture(scope="session")
def other_kafka(kafka_folder: Callable[[], Path]) -> Iterator[Kafka]:
    """The broker behind `own_kafka`; take that one."""
    with Kafka(kafka_folder(), brief=True) as broker:
        yield broker


@pytest.fixture
def own_kafka(other_kafka: Kafka) -> Kafka:
    """A running broker that the test may stop, kill and start again; other tests' topics may be on it."""
    if not other_kafka.running:
        other_kafka.start()
    return other_kafka
