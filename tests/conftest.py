"""Fixtures shared by all tests: the real servers, started once and only where a test asks for them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.servers.kafka import Kafka, KafkaMissingError, jars
from tests.servers.pds import Pds, PdsMissingError, check, running


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


@pytest.fixture(scope="session")
def pds_with() -> Callable[..., AbstractContextManager[Pds]]:
    """Give what runs a PDS with options of its own, or skip, saying why, where this machine cannot run one."""
    try:
        check()
    except PdsMissingError as error:
        pytest.skip(str(error))
    return running


@pytest.fixture(scope="session")
def pds(pds_with: Callable[..., AbstractContextManager[Pds]]) -> Iterator[Pds]:
    """A running PDS, shared by the session: sign up accounts of your own."""
    with pds_with() as running_pds:
        yield running_pds
