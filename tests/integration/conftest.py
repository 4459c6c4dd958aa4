"""Fixtures of the integration tests: a PDS that the session shares."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.servers.pds import Pds, PdsMissingError, check, running


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
