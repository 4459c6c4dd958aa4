"""`starlingd demo`: everything, on a simulated network, in a terminal and on a page."""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog
from rich.console import Console
from rich.live import Live

from daemon.commands.run import read_duration
from daemon.demonstration import Scale, configuration, network, planted
from daemon.errors import OutputError
from daemon.logging import configure
from daemon.outputs import check_writable, written
from daemon.records import RunRecord
from daemon.views.board import Board, next_indicator
from daemon.views.lines import lines
from daemon.views.picture import picture
from daemon.views.planted import Hunt

if TYPE_CHECKING:
    from daemon.service import Service

LOOK_SECONDS = 0.25
TURN_SECONDS = 4.0
PLAIN_SECONDS = 5.0
HISTORY = 60
RATE_LOOKS = 24
"""Looks over which the rate of folding is told."""

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
        from daemon.service import Service  # torch comes with it, and takes its time
        from daemon.supervision import DrainError, PartDiedError

        source = network(scale)
        show = Show(console, Hunt(planted(source)), scale)
        try:
            asyncio.run(_serve(Service(config, sources=[source]), show, seconds))
        except (PartDiedError, DrainError) as death:
            _logger.critical(str(death), exc_info=death.__cause__)
            sys.exit(1)
        show.close(svg)


async def _serve(service: "Service", show: "Show", seconds: float | None) -> None:
    """Run the daemon and the show beside it, until Ctrl-C or for so many seconds."""
    from daemon.supervision import after, signals

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


@dataclass(slots=True)
class Show:
    """What the viewer sees, and what is remembered of it for the end."""

    console: Console
    hunt: Hunt
    scale: Scale
    runs: deque[RunRecord] = field(default_factory=lambda: deque(maxlen=HISTORY))
    count: int = 0
    records: int = 0
    events: int = 0
    worst: float = 0.0
    folded: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=RATE_LOOKS))
    indicator: str | None = None
    best: tuple[tuple[bool, int], Board] | None = None
    began: float = field(default_factory=time.monotonic)
    address: str = ""

    async def watch(self, service: "Service", stop: asyncio.Event) -> None:
        """Look again and again until `stop`: a live board on a terminal, lines elsewhere."""
        self.address = service.server.address
        if not self.console.is_terminal:
            self.console.print(f"The page is on {self.address}", highlight=False)
        live = Live(console=self.console, screen=True, auto_refresh=False) if self.console.is_terminal else None
        with live or contextlib.nullcontext():
            turned = said = time.monotonic()
            while not stop.is_set():
                fresh, now = self.look(service), time.monotonic()
                self.folded.append((now, self.events))
                if now - turned >= TURN_SECONDS or self.indicator is None:
                    self.indicator, turned = self._next(), now
                if live:
                    live.update(self._board().render(), refresh=True)
                elif fresh and now - said >= PLAIN_SECONDS:
                    self._say()
                    said = now
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK_SECONDS)

    def look(self, service: "Service") -> bool:
        """Take the newest run, if it is new, and the counters; return whether it was."""
        if service.worker is not None:
            self.events = service.worker.windows.stats.events
        run = service.latest.run
        if run is None or (self.runs and self.runs[-1].id == run["id"]):
            return False
        record = RunRecord.model_validate(run)
        self.runs.append(record)
        self.hunt.look(service.latest)
        self.count += 1
        self.records += record.attributions
        residuals = [found.residual or 0.0 for measures in record.indicators.values() for found in measures.values()]
        self.worst = max([self.worst, *residuals])
        self._keep()
        return True

    def close(self, svg: Path | None) -> None:
        """Say what was seen, and draw the picture that was asked for."""
        say = partial(self.console.print, highlight=False, soft_wrap=True, markup=False)
        seconds = time.monotonic() - self.began
        say(
            f"{self.count} runs in {seconds:.0f} s: {self.events:,} events folded, {self.records:,} attributions "
            f"published, Σφ off by {self.worst:.1g} at worst."
        )
        if self.runs:
            for line in self.hunt.lines(self.runs[-1]):
                say(f"  {line}")
            for measures in self.runs[-1].indicators.values():
                shown = measures.get("neutral")
                if shown and shown.scale_gap.sentence:
                    say(f"  {shown.scale_gap.sentence}")
        if svg is not None:
            if self.best is None:
                raise OutputError(
                    f"{svg} is not written: the demo ended before its first run; give it longer with --for"
                )
            with written(svg) as stream:
                stream.write(picture(self.best[1].render(), "starlingd demo").encode())

    @property
    def rate(self) -> float:
        """Events folded a second, over the last looks: folding pauses while a run is made."""
        if not self.folded:
            return 0.0
        (since, before), (until, after) = self.folded[0], self.folded[-1]
        return (after - before) / (until - since) if until > since else 0.0

    def _next(self) -> str | None:
        """Return the next indicator; while a storm is under way, one that a storm moves."""
        run = self.runs[-1] if self.runs else None
        moved = {plant.indicator for plant in self.hunt.planted if run and plant.start < run.end <= plant.end}
        following = next_indicator(run, self.indicator)
        for _ in moved:
            if following in moved:
                break
            following = next_indicator(run, following)
        return following

    def _board(self) -> Board:
        notes = [f"{self.rate:,.0f} events/s folded, {self.events:,} in all   page {self.address}   Ctrl-C ends"]
        if self.runs:
            notes += self.hunt.lines(self.runs[-1])[-3:]
        title = f"starlingd demo: {self.scale.accounts:,} simulated accounts at {self.scale.speed:g} times real time"
        return Board(title, list(self.runs), self.indicator, notes, self.hunt.marks)

    def _keep(self) -> None:
        """Keep the board for the picture if it shows the change, and as many culprits, as any before."""
        shown = self._best_indicator()
        measures = self.runs[-1].indicators.get(shown or "", {})
        marked = sum(row.agent in self.hunt.marks for found in measures.values() for row in found.top)
        merit = (len(measures) > 1, marked)
        if self.best is None or merit >= self.best[0]:
            board = self._board()
            board.indicator = shown
            self.best = (merit, board)

    def _best_indicator(self) -> str | None:
        """Return the indicator whose top agents hold most culprits."""
        marks = self.hunt.marks
        counts = {
            name: sum(row.agent in marks for found in measures.values() for row in found.top)
            for name, measures in self.runs[-1].indicators.items()
        }
        return max(counts, key=lambda name: counts[name], default=None)

    def _say(self) -> None:
        for line in lines(self.runs[-1], self.hunt.marks):
            self.console.print(line, highlight=False, soft_wrap=True, markup=False)
