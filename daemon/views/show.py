"""The demo as its viewer sees it: a board that follows the daemon beside it, and what is said at the end."""

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from daemon.errors import OutputError
from daemon.offline.outputs import written
from daemon.runs.records import RunRecord
from daemon.views.board import Board, next_indicator
from daemon.views.demonstration import Scale
from daemon.views.lines import lines
from daemon.views.picture import picture
from daemon.views.planted import Hunt

if TYPE_CHECKING:
    from daemon.service.composition import Service

LOOK_SECONDS = 0.25
TURN_SECONDS = 4.0
PLAIN_SECONDS = 5.0
HISTORY = 60
RATE_LOOKS = 24
"""Looks over which the rate of folding is told."""


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
