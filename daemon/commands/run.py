"""`starlingd run`: the daemon."""

import asyncio
import os
import sys

import click
import structlog

from consumers.durations import DurationError, parse_duration
from daemon.commands.options import configured
from daemon.config.loading import Loaded
from daemon.config.values import SECOND
from daemon.runs.pseudonyms import pseudonyms_of
from daemon.service.logging import configure

_logger = structlog.get_logger(__name__)


def read_duration(_context: click.Context, _parameter: click.Parameter, text: str | None) -> float | None:
    """Return a duration option in seconds."""
    try:
        return None if text is None else parse_duration(text) / SECOND
    except DurationError as error:
        raise click.BadParameter(str(error)) from error


@click.command(
    epilog="""\b
Examples:
  starlingd run --source simulator               a synthetic network, into the embedded log
  starlingd run                                  the live network, into the embedded log
  starlingd run --config starlingd.toml          as the file says
  starlingd run --log kafka --role bridge        only the reading, into Kafka

\b
Where one process is too small, ranks share the partitions:
  torchrun --standalone --nproc-per-node 3 --max-restarts 100 --no-python \\
    starlingd run --log kafka --role attribute
One that dies comes back with its own, from the checkpoint. Those of one machine listen on the configured port and the
ones after it; any of them ends all in order.
"""
)
@configured()
@click.option(
    "--role",
    type=click.Choice(["all", "bridge", "attribute"]),
    default="all",
    show_default=True,
    help="bridge reads the source into the log; attribute reads the log; all is both.",
)
@click.option("--for", "seconds", callback=read_duration, metavar="DURATION", help="End by itself after so long.")
def command(loaded: Loaded, role: str, seconds: float | None) -> None:
    """Read the network, keep the windows, and publish who carries what, until told to stop.

    Ends with 0 after SIGTERM, SIGINT or --for; with 2 and one sentence where it cannot start as asked; with 1 where a
    part of it died, whose cause is the last thing that it logs.
    """
    pseudonyms = pseudonyms_of(loaded.config.publish)
    configure(loaded.config.logging, cover=pseudonyms.cover if pseudonyms else None)
    from daemon.service.composition import Service
    from daemon.service.share import share_of
    from daemon.service.supervision import DrainError, PartDiedError, after, signals

    async def serve() -> None:
        stop = asyncio.Event()
        with signals(stop):
            share = share_of(os.environ)
            async with Service(loaded.config, role, share=share) as service:  # type: ignore[arg-type]  # click checked it
                ending = asyncio.ensure_future(after(seconds, stop)) if seconds is not None else None
                try:
                    await service.run(stop)
                except (PartDiedError, DrainError) as death:
                    _logger.critical(str(death), exc_info=death.__cause__)
                    if getattr(death, "overdue", True):
                        os._exit(1)  # a thread that does not end would hold up any other way out
                    raise
                finally:
                    if ending:
                        ending.cancel()

    try:
        asyncio.run(serve())
    except PartDiedError:
        sys.exit(1)
