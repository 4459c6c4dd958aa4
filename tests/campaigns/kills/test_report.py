"""The rows of kill campaigns, as they are kept and shown."""

from collections import Counter
from pathlib import Path

from tests.campaigns.kills.report import COLUMNS, Report, add, read, tables


def test_a_row_is_read_as_it_was_added_and_kills_are_summed_in_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert read(path) == []
    kills = Counter({"bridge: claim": 2, "broker: any": 1})
    first = Report("Kafka, relay", 1, 60.0, "a day", kills, events=1_234, manners=Counter(repeated=5), deaths=["why"])
    second = Report("SQLite, jetstream2", 2, kills=Counter({"all: any": 4}), run_differences=1)
    add(path, first)
    add(path, second)
    first.deaths = []
    assert read(path) == [first, second]
    assert (first.exact, second.exact) == (True, False)
    lines = tables(read(path)).splitlines()
    assert lines[2] == "| Kafka, relay | 1 | 3 | 0 | 1,234 | 5 | 0 | 0 | 0 | 0 | 0 | 0 | 1.0 | a day |"
    assert "**7**" in lines[4]
    assert {line.count("|") for line in lines[:5]} == {len(COLUMNS) + 1}
    assert "| bridge |  | 2 |  |  |  |  |  |" in lines
