"""The fault campaign's short form: every fault on every wire that can have it, and a small storm."""

from pathlib import Path

import pytest

from tests.campaigns.faults.rows import FAULTS, Fault
from tests.campaigns.faults.storm import storm
from tests.campaigns.faults.trial import trial


@pytest.mark.parametrize(
    ("fault", "protocol"),
    [
        pytest.param(fault, protocol, id=f"{protocol}: {fault.name}")
        for fault in (*FAULTS, storm(30, 1))
        for protocol in fault.protocols
    ],
)
async def test_a_fault_is_survived_and_accounted_for_and_no_gap_unsaid(
    fault: Fault, protocol: str, tmp_path: Path
) -> None:
    outcome = await trial(fault, protocol, tmp_path)
    assert not outcome.wrong, outcome
