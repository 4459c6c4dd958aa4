"""The page of invariants names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_test_that_the_page_names_is_there_once() -> None:
    named = re.findall(r"`(test_\w+)`", (ROOT / "consumers" / "invariants.md").read_text("utf-8"))
    written = [
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(named) > 20
    assert {name: written.count(name) for name in named if written.count(name) != 1} == {}
