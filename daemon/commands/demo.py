"""`starlingd demo`: everything, on a simulated network, in a terminal and on a page."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog
from rich.console import Console

from daemon.commands.run import read_duration
from daemon.offline.outputs import check_writable
from daemon.service.logging import configure
from daemon.views.demonstration import Scale, configuration, network, planted
from daemon.views.planted import Hunt
from daemon.views.show import Show

if TYPE_CHECKING:
    from daemon.service.composition import Service

_logger = structlog.get_logger(__name__)


@click.command(
    epilog="""\b
Examples:
  starlingd demo                        until Ctrl-C; the page is on http://127.0.0.1:8080
  starlingd demo --for 60s              end by itself
  starlingd demo --for 60s | cat        plain lines
"""
)
@click.option("--for", "seconds", callback=read_duration, metavar="DURATION", help="End by itself after so long.")
@click.option("--port", default="8080", show_default=True, help="Port of the page on 127.0.0.1; 0 takes any free one.")
@click.option("--accounts", default=Scale.accounts, show_default=True, help="Accounts of the simulated network.")
@click.option("--rate", default=Scale.rate, show_default=True, help="Operations a simulated second.")
@click.option("--speed", default=Scale.speed, show_default=True, help="Simulated seconds a second.")
@click.option("--seed", default=Scale.seed, show_default=True, help="The same seed gives the same network.")
@click.option("--state-dir", type=click.Path(path_type=Path), help="Keep the log here.  [default: a temporary one]")
@click.option("--picture", "svg", type=click.Path(path_type=Path), help="Write the board at its best to this SVG.")
def command(
    *,
    seconds: float | None,
    port: str,
    accounts: int,
    rate: float,
    speed: float,
    seed: int,
    state_dir: Path | None,
    svg: Path | None,
) -> None:
    """Watch who carries a simulated storm, live, with nothing to install or connect to.

    A network of accounts acts at many times real time. Cascades, a polarizing camp and coordinated bursts are planted
    in it, and the board marks their culprits where the attribution finds them. Ends with 0 after Ctrl-C or --for.
    """
    if svg is not None:
        check_writable(svg)
    console = Console()
    scale = Scale(accounts, rate, speed, seed)
    with _state(state_dir) as state:
        config = configuration(scale, state, port, "error" if console.is_terminal else "warning")
        configure(config.logging)
        console.print("Starting the simulated network and the engine.", style="dim")
        from daemon.service.composition import Service  # torch comes with it, and takes its time
        from daemon.service.supervision import DrainError, PartDiedError

        source = network(scale)
        show = Show(console, Hunt(planted(source)), scale)
        try:
            asyncio.run(_serve(Service(config, sources=[source]), show, seconds))
        except (PartDiedError, DrainError) as death:
            _logger.critical(str(death), exc_info=death.__cause__)
            sys.exit(1)
        show.close(svg)


async def _serve(service: "Service", show: Show, seconds: float | None) -> None:
    """Run the daemon and the show beside it, until Ctrl-C or for so many seconds."""
    from daemon.service.supervision import after, signals

    stop = asyncio.Event()
    with signals(stop):
        async with service:
            ending = asyncio.ensure_future(after(seconds, stop)) if seconds is not None else None
            watching = asyncio.ensure_future(show.watch(service, stop))
            try:
                await service.run(stop)
            finally:
                stop.set()
                if ending:
                    ending.cancel()
                await watching
            show.look(service)


@contextlib.contextmanager
def _state(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="starlingd-demo-") as directory:
        yield Path(directory)
