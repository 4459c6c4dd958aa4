"""The command line as a newcomer meets it."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from daemon.commands import COMMANDS, cli


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_examples(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["attribute", "state.parquet"], "Missing option '--indicator'"),
        (["run", "--port"], "Option '--port' requires an argument"),
        (["replay"], "Missing argument 'FILE...'"),
    ],
)
def test_a_misuse_is_one_sentence_and_exit_2(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"starlingd: {said}")
    assert result.stderr.count("\n") == 1


def test_help_loads_no_command_and_no_torch() -> None:
    code = (
        "import sys; from daemon.commands import cli; cli.main(['--help'], standalone_mode=False);"
        "sys.exit(any(name == 'torch' or name.startswith('daemon.commands.') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
