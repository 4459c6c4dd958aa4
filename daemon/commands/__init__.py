"""The command line. Each command is a module here, imported only when it is called: `--help` loads no torch."""

from importlib import import_module
from typing import IO, Any

import click

from consumers.followers import FollowersError
from consumers.log import LogError
from consumers.scoring import ScorerError
from consumers.sources import SourceError
from daemon.errors import RefusalError
from engine.errors import EngineError

COMMANDS = ("run", "demo", "simulate", "replay", "attribute", "verify", "watch", "deadletters", "config")

REFUSALS: tuple[type[Exception], ...] = (LogError, SourceError, FollowersError, ScorerError, RefusalError, EngineError)
"""Errors whose message is already the sentence a user needs; any other is a bug and shows its traceback."""


class Refused(click.ClickException):
    """A refusal on its way out: its sentence on stderr, exit 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence."""
        click.echo(f"starlingd: {self.message}", file=file, err=file is None)


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

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, turning what its caller can mend into one sentence and exit 2."""
        try:
            return super().invoke(ctx)
        except REFUSALS as refusal:
            raise Refused(str(refusal)) from refusal


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="starlingd")
def cli() -> None:
    """Say live, for every account, who carries each thing that happens to a network as a whole."""


def main() -> None:
    """Run the command line."""
    cli.main(standalone_mode=True)
