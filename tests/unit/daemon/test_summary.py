import math

from daemon.runs.attributions import Attributions
from daemon.runs.records import Measure
from daemon.runs.summary import failures, is_good, measures
from engine.results import Finding
from tests.runs import AGENTS, finding, results


def measured(found: Finding) -> Measure:
    table: Attributions = results([found]).attributions
    return measures([found], table)[found.indicator][found.baseline]


def test_a_good_finding_is_said_in_full() -> None:
    found = finding("polarization", "neutral")
    said = measured(found)
    assert said.ok
    assert (said.value, said.baseline_value, said.finite_gap) == (0.53, 0.2, 0.004)
    assert [row.agent for row in said.top] == [AGENTS[1], AGENTS[0], AGENTS[2], AGENTS[3]]
    assert said.scale_gap.rescalable is False
    assert failures([found]) == []


def test_the_sentence_takes_the_smallest_visible_panel_and_names_the_change() -> None:
    found = finding("polarization", "preceding")
    smallest = found.panels[0]
    found.panels = [
        type(smallest)("uniform", 10, 1.0, 0.1, {"head": 0.1, "middle": 0.1, "tail": 0.8}),
        type(smallest)("visible", 1000, 1.0, 0.1, {"head": 0.5, "middle": 0.1, "tail": 0.4}),
        smallest,
    ]
    assert measured(found).scale_gap.sentence == (
        "A panel of the 100 most visible accounts would give the head 97 % of the change of polarization; "
        "at full scale it carries 31 %, the middle 24 % and the tail 45 %."
    )


def test_without_a_panel_there_is_no_sentence() -> None:
    found = finding("polarization", "neutral")
    found.panels = []
    assert measured(found).scale_gap.sentence is None


def test_a_finding_out_of_tolerance_is_marked_and_names_no_agents() -> None:
    found = finding("polarization", "neutral", ok=False)
    assert not is_good(found)
    said = measured(found)
    assert not said.ok
    assert said.top == []
    assert failures([found])[0].reason == "not within tolerance: residual 0.2, λ error 1e-14"


def test_a_failed_finding_is_only_a_failure() -> None:
    found = Finding("mine", "neutral", failure="F is not finite on the path")
    assert measures([found], results([]).attributions) == {}
    assert failures([found])[0].model_dump() == {
        "indicator": "mine",
        "baseline": "neutral",
        "reason": "F is not finite on the path",
    }


def test_what_is_not_finite_is_never_good_and_has_no_figure() -> None:
    found = finding("polarization", "neutral", value=math.nan)
    assert not is_good(found)
    assert measured(found).value is None
