"""`starlingd watch`: follow what a daemon publishes, in a terminal or as plain lines."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator

import click
from rich.console import Console
from rich.live import Live

from daemon.commands.options import configured
from daemon.commands.run import read_duration
from daemon.config.loading import Loaded
from daemon.config.model import Config
from daemon.runs.following import Committed, Follower
from daemon.runs.pseudonyms import pseudonyms_of
from daemon.runs.records import RunRecord
from daemon.service import building
from daemon.service.supervision import after, signals
from daemon.views.board import Board
from daemon.views.figures import figure
from daemon.views.lines import lines

HISTORY = 60


@click.command(
    epilog="""\b
Examples:
  starlingd watch                                        the embedded log of a daemon on this machine
  starlingd watch --log kafka --bootstrap broker:9092    any daemon's, through Kafka
  starlingd watch --agent did:plc:... --runs 10 | cat    one account, ten runs, plain lines
"""
)
@configured(("--log", "--bootstrap", "--state-dir"))
@click.option("--agent", metavar="NAME", help="Say of each run what it says of this agent.")
@click.option("--indicator", metavar="NAME", help="The indicator whose carriers are shown.  [default: the first]")
@click.option("--runs", "limit", type=click.IntRange(min=1), help="End after so many runs.")
@click.option("--for", "seconds", callback=read_duration, metavar="DURATION", help="End by itself after so long.")
def command(
    *, loaded: Loaded, agent: str | None, indicator: str | None, limit: int | None, seconds: float | None
) -> None:
    """Follow the runs of a daemon: per committed run, its indicators and the agents that carry them.

    Reads only; the embedded log may be in use by the daemon that writes it. Where the daemon publishes pseudonyms,
    --agent takes one, or, for who has the key in the configuration, the account's own name.

    Ends with 0 after Ctrl-C, --runs or --for.
    """
    pseudonyms = pseudonyms_of(loaded.config.publish)
    if pseudonyms and agent and not agent.startswith("p:"):
        (agent,) = pseudonyms.of([agent])
    view = _View(Console(), indicator, agent)
    asyncio.run(_follow(loaded.config, view, limit, seconds))


async def _follow(config: Config, view: "_View", limit: int | None, seconds: float | None) -> None:
    stop = asyncio.Event()
    topics, _ = building.topics_of(config)
    with signals(stop):
        async with building.log_of(config, read_only=True) as log:
            ending = asyncio.ensure_future(after(seconds, stop)) if seconds is not None else None
            found = Follower(log, topics, view.agent).committed(history=HISTORY if view.live else 1)
            count = 0
            with view.shown():
                async with contextlib.aclosing(found) as committed:
                    async for one in committed:
                        if one is not None:
                            view.show(one)
                            count += 1
                        if stop.is_set() or (limit is not None and count >= limit):
                            break
            if ending:
                ending.cancel()


class _View:
    """A board on a terminal, lines elsewhere; of one agent, lines everywhere."""

    def __init__(self, console: Console, indicator: str | None, agent: str | None) -> None:
        self.agent = agent
        self._console = console
        self._indicator = indicator
        self._runs: deque[RunRecord] = deque(maxlen=HISTORY)
        self.live = (
            Live(console=console, screen=True, auto_refresh=False) if console.is_terminal and agent is None else None
        )

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Hold the terminal while the board is up."""
        with self.live or contextlib.nullcontext():
            if self.live:
                self.live.update(Board("starlingd watch", []).render(), refresh=True)
            yield

    def show(self, found: Committed) -> None:
        """Show a run."""
        self._runs.append(found.run)
        if self.live:
            board = Board("starlingd watch", list(self._runs), self._indicator)
            self.live.update(board.render(), refresh=True)
            return
        for line in self._of_agent(found) if self.agent else lines(found.run):
            self._console.print(line, highlight=False, soft_wrap=True, markup=False)

    def _of_agent(self, found: Committed) -> Iterator[str]:
        record = found.agent
        if record is None:
            yield f"{found.run.id} {self.agent}: no record"
            return
        parts = [f"{name} {figure(phi)}" for name, phi in record.level.items()]
        parts += [f"change of {name} {figure(phi)}" for name, phi in (record.change or {}).items()]
        yield f"{record.run} {record.agent} ({record.tier}, visibility {record.visibility}): {', '.join(parts)}"
