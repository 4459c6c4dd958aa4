"""The command line. Each command is a module here, imported only when it is called: `--help` loads no torch."""

import sys
from importlib import import_module

import click

from consumers.log import LogError
from consumers.sources import SourceError

COMMANDS = ("run", "demo", "simulate", "replay", "attribute", "verify", "watch", "config")

REFUSALS: tuple[type[Exception], ...] = (LogError, SourceError)
"""Errors whose message is already the sentence a user needs; any other is a bug and shows its traceback."""


class LazyGroup(click.Group):
    """A group whose commands are attributes `command` of the modules of the same name."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import the module of a command."""
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"daemon.commands.{name}").command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="starlingd")
def cli() -> None:
    """Say live, for every account, who carries each thing that happens to a network as a whole."""


def main() -> None:
    """Run the command line: exit 0 when done, 2 with one sentence on stderr for what the caller can mend."""
    try:
        cli.main(standalone_mode=True)
    except REFUSALS as refusal:
        click.echo(f"starlingd: {refusal}", err=True)
        sys.exit(2)
