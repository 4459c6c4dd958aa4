import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.runs.attributions import Attributions, rank
from daemon.runs.latest import Latest, Results

NAMES = ["did:plc:a", "did:plc:b", "did:plc:c", "did:plc:d"]


def results(run: str = "all-1", change: bool = False) -> Results:
    phi = {("polarization", "neutral"): np.array([0.1, -0.4, 0.1, 0.0])}
    if change:
        phi["polarization", "preceding"] = np.array([0.0, 1.0, 0.0, 0.0])
    return Results(
        record={"id": run, "lens": "all"},
        attributions=Attributions(
            agents=NAMES,
            phi=phi,
            tiers=np.array([2, 0, 1, 2], dtype=np.uint8),
            visibility=np.array([0, 9, 3, 0]),
        ),
    )


def test_before_the_first_run_there_is_nothing() -> None:
    latest = Latest()
    assert latest.run is None
    assert latest.runs() == []
    assert latest.top("polarization", "neutral") is None
    assert latest.agent(NAMES[0]) is None


def test_top_agents_go_by_magnitude_then_name_and_carry_share_and_tier() -> None:
    latest = Latest()
    latest.swap(results())
    top = latest.top("polarization", "neutral", 3)
    assert top is not None
    assert [row["agent"] for row in top] == ["did:plc:b", "did:plc:a", "did:plc:c"]
    assert top[0] == {
        "agent": "did:plc:b",
        "phi": -0.4,
        "share": pytest.approx(0.4 / 0.6),
        "tier": "head",
        "visibility": 9,
    }


def test_a_finding_that_the_run_lacks_is_told_from_an_empty_one() -> None:
    latest = Latest()
    latest.swap(results())
    assert latest.top("polarization", "preceding") is None
    assert latest.top("polarization", "neutral", 0) == []


def test_one_agent_comes_in_the_form_of_its_record() -> None:
    latest = Latest()
    latest.swap(results(change=True))
    assert latest.agent("did:plc:b") == {
        "v": 1,
        "run": "all-1",
        "lens": "all",
        "agent": "did:plc:b",
        "tier": "head",
        "visibility": 9,
        "level": {"polarization": -0.4},
        "change": {"polarization": 1.0},
    }
    assert latest.agent("did:plc:bb") is None
    assert latest.agent("zzz") is None


def test_change_is_absent_until_a_preceding_window_is_covered() -> None:
    latest = Latest()
    latest.swap(results())
    agent = latest.agent("did:plc:a")
    assert agent is not None
    assert "change" not in agent


def test_history_is_newest_first_bounded_and_a_rerun_replaces_itself() -> None:
    latest = Latest(keep=2)
    for run in ("all-1", "all-2", "all-3", "all-3"):
        latest.swap(results(run))
    assert [record["id"] for record in latest.runs(10)] == ["all-3", "all-2"]
    assert [record["id"] for record in latest.runs(1)] == ["all-3"]


@given(st.lists(st.integers(-3, 3), max_size=30), st.integers(0, 40))
def test_rank_agrees_with_a_plain_sort(values: list[int], limit: int) -> None:
    expected = sorted(range(len(values)), key=lambda row: (-abs(values[row]), row))[:limit]
    assert rank(np.array(values, dtype=np.float64), limit).tolist() == expected
