import re

import numpy as np
import pytest
from rich.console import Console

from daemon.runs.latest import Latest
from daemon.runs.records import RunRecord
from daemon.views.board import Board, next_indicator
from daemon.views.figures import sparkline
from daemon.views.lines import lines
from daemon.views.planted import Hunt, Planted
from engine.results import Finding
from tests.runs import START, finding, results


def record(*findings: Finding) -> RunRecord:
    return RunRecord.model_validate(results(list(findings)).record)


def shown(board: Board) -> str:
    console = Console(width=140, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(board.render())
    return captured.get()


def test_before_the_first_run_the_board_waits() -> None:
    assert "Waiting for the first window to close." in shown(Board("demo", []))


def test_the_board_shows_values_carriers_marks_and_the_sentence() -> None:
    run = record(finding("polarization", "neutral"), finding("polarization", "preceding", value=0.25))
    text = shown(Board("demo", [run], notes=["1,200 events/s"], marks={"did:plc:bob": "cascade"}))
    assert "0.53" in text
    assert "+0.05" in text
    assert re.search(r"did:plc:bob +head +81 % +cascade", text)
    assert "planted" not in shown(Board("demo", [run]))
    assert "A panel of the 100 most visible accounts would give the head 97 % of polarization" in text
    assert "1,200 events/s" in text


def test_the_board_says_what_is_absent_and_what_failed() -> None:
    failed = Finding("mine", "neutral", failure="F raised ZeroDivisionError")
    text = shown(Board("demo", [record(finding("polarization", "neutral"), failed)]))
    assert "the window before is not covered yet" in text
    assert "not published: mine: F raised ZeroDivisionError" in text


def test_a_run_as_lines_names_value_change_residual_and_carriers() -> None:
    run = record(finding("polarization", "neutral"), finding("polarization", "preceding", value=0.25))
    first, second = lines(run, {"did:plc:bob": "cascade"}, top=1)
    assert first == "13:38:00-14:38:00 all-0000: 4 accounts, coverage 98 %, 4 records, 0 tombstones"
    assert second == "  polarization 0.53 (+0.05) residual 1e-13 | did:plc:bob 81 % head [cascade]"


def test_indicators_take_turns() -> None:
    run = record(finding("polarization", "neutral"), finding("cascade", "neutral"))
    assert next_indicator(run, None) == "polarization"
    assert next_indicator(run, "polarization") == "cascade"
    assert next_indicator(run, "cascade") == "polarization"
    assert next_indicator(None, "cascade") is None


def test_a_hunt_counts_culprits_among_as_many_carriers_and_keeps_the_best() -> None:
    plant = Planted("cascade", "polarization", START, START + 1, frozenset({"did:plc:bob", "did:plc:cyd"}))
    hunt, latest = Hunt([plant]), Latest()
    first = results([finding("polarization", "neutral")])
    assert hunt.lines(record(finding("polarization", "neutral")))[0].endswith(
        "over: 0 of 2 culprits among the top 2 of polarization"
    )
    latest.swap(first)
    hunt.look(latest)
    assert hunt.best[plant] == 1
    found = finding("polarization", "neutral")
    assert found.attribution is not None
    found.attribution.phi[:] = 0.0
    latest.swap(results([found], number=1))
    hunt.look(latest)
    assert hunt.best[plant] == 1
    assert hunt.marks == {"did:plc:bob": "cascade", "did:plc:cyd": "cascade"}


@pytest.mark.parametrize(("values", "drawn"), [([], ""), ([2.0, 2.0], "▁▁"), ([0.0, 1.0, 2.0], "▁▅█")])
def test_a_sparkline_spans_its_values(values: list[float], drawn: str) -> None:
    assert sparkline(values) == drawn
    assert len(sparkline(list(np.arange(100.0)), width=10)) == 10
