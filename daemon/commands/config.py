"""`starlingd config`: say whether a configuration is right, and what it is."""

import click

from daemon.commands.options import configured
from daemon.config.loading import Loaded
from daemon.config.rendering import render
from daemon.runs.pseudonyms import pseudonyms_of


@click.group(
    epilog="""\b
Examples:
  starlingd config check --config starlingd.toml            would the daemon start with it?
  starlingd config print                                    every setting, its meaning, and where it comes from
  STARLINGD_LOG__KIND=kafka starlingd config print          the same with a setting of the environment
"""
)
def command() -> None:
    """Check the configuration, or print it whole with its origins and without its secrets."""


@command.command()
@configured()
def check(loaded: Loaded) -> None:
    """Exit 0 if the daemon would start with this configuration as far as it can be told without a network.

    Else 2, with one sentence.
    """
    from daemon.service import attributing, building  # torch comes with it, and takes its time

    building.sources_of(loaded.config)
    attributing.check(loaded.config)
    pseudonyms_of(loaded.config.publish)
    given = len(loaded.origins)
    click.echo(f"The configuration is good: {given} setting{'' if given == 1 else 's'} given, the others by default.")


@command.command(name="print")
@configured()
def print_(loaded: Loaded) -> None:
    """Print every setting as TOML, with its meaning and where it came from; secrets are not shown."""
    click.echo(render(loaded), nl=False)
