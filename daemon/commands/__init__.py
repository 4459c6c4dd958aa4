"""The command line. Each command is a module here, imported only when it is called: `--help` loads no torch."""

from importlib import import_module
from typing import IO, Any

import click
from click.exceptions import NoArgsIsHelpError

from consumers.followers import FollowersError
from consumers.log import LogError
from consumers.scoring import ScorerError
from consumers.sources import SourceError
from daemon.errors import RefusalError
from engine.errors import EngineError

COMMANDS = {
    "run": "the daemon: read, keep windows, publish who carries what",
    "demo": "a simulated storm and who carries it, live",
    "simulate": "a synthetic network with known culprits, as JSON lines",
    "replay": "recordings through the whole pipeline, offline",
    "attribute": "one table of agents in, one table of attributions out",
    "verify": "hold an indicator against the axioms and exact Shapley values",
    "watch": "follow the committed runs of a daemon in a terminal",
    "deadletters": "list what could not be read, or try it again",
    "config": "check the configuration, or print it",
}
"""Every command in the order in which a newcomer meets them, with its line in `--help`."""

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
        """Return the names of the commands."""
        return list(COMMANDS)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

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
        except NoArgsIsHelpError:
            raise
        except click.UsageError as misuse:
            where = misuse.ctx.command_path if misuse.ctx else ctx.command_path
            raise Refused(f"{misuse.format_message().rstrip('.')}; `{where} --help` shows how.") from misuse


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="starlingd")
def cli() -> None:
    """Say live, for every account, who carries each thing that happens to a network as a whole."""


def main() -> None:
    """Run the command line."""
    cli.main(standalone_mode=True)
