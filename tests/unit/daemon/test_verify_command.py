"""`starlingd verify` through the real command line, for an indicator of the house and for a user's bad one."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from daemon.commands import cli

BAD = """
import torch
from engine.indicators import Indicator

STEPPING = Indicator("stepping", g=lambda x: (x["posts"], x.acts), F=lambda m: torch.floor(9 * m[0] / m[1]),
                     neutral=lambda x: (0.0, x.acts))
"""


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["verify", *arguments], env={"COLUMNS": "160"})


@pytest.fixture
def stepping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package whose indicator jumps."""
    (tmp_path / "stepping.py").write_text(BAD)
    info = tmp_path / "stepping-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stepping\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[starlingd.indicators]\nstepping = stepping:STEPPING\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "stepping"


def test_a_sound_indicator_exits_0_with_its_verdict():
    result = verify("cascade", "--permutations", "200")
    assert result.exit_code == 0, result.output
    assert "cascade: all 9 checks hold" in result.stdout
    assert "FAILS" not in result.stdout


def test_a_users_indicator_that_jumps_exits_1_and_is_told_where(stepping):
    result = verify(stepping, "--permutations", "200")
    assert result.exit_code == 1, result.output
    assert "checks fail" in result.stdout
    assert "near t =" in result.stdout


def test_an_unknown_indicator_exits_2_with_one_sentence():
    result = verify("vibes")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "vibes" in result.stderr
