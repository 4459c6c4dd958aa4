"""The fault campaign on a real PDS."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.campaigns.faults.people import SAID, Said, told
from tests.servers.pds import Pds

pytestmark = pytest.mark.pds


@pytest.mark.parametrize("said", SAID, ids=lambda said: said.name)
async def test_what_a_pds_says_of_its_stream_is_heard_and_no_gap_unsaid(
    said: Said, pds_with: Callable[..., AbstractContextManager[Pds]], tmp_path: Path
) -> None:
    with pds_with(**said.options) as pds:
        outcome = await told(said, pds, tmp_path)
    assert not outcome.wrong, outcome
