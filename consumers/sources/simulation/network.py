"""The network: chunk after chunk of lines, from any moment on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from consumers.sources.simulation import calibration as cal
from consumers.sources.simulation.acts import STREAM_UNDOS, Acts, Grid, acts_of
from consumers.sources.simulation.identifiers import Integers
from consumers.sources.simulation.lines import Writer
from consumers.sources.simulation.newcomers import arrivals, departures
from consumers.sources.simulation.plants import Outbreak
from consumers.sources.simulation.population import Population
from consumers.sources.simulation.posts import Horizon
from consumers.sources.simulation.rows import Rows
from consumers.sources.simulation.targets import Targets, background

_DAY_US = 86_400_000_000


@dataclass(slots=True)
class Chunk:
    """Consecutive lines with the moment of each, µs, rising. A line's own `time_us` may lag or lead a little."""

    moments: Integers
    lines: list[bytes]


@dataclass(slots=True, frozen=True)
class Shape:
    """What makes a simulation the same one: two equal shapes give equal lines.

    `rate` is background operations per second; `rhythm` in [0, 1) how far the rate swings over a day.
    """

    accounts: int
    seed: int
    start: int
    rate: float
    rhythm: float = 0.0


@dataclass(slots=True)
class Network:
    """The lines of a shape, from any moment on."""

    shape: Shape
    outbreaks: Sequence[Outbreak] = ()
    grid: Grid = field(init=False)
    population: Population = field(init=False)

    def __post_init__(self) -> None:
        shape = self.shape
        shortest, longest = cal.CHUNK_S
        chunk_s = min(max(cal.EVENTS_PER_CHUNK / shape.rate, shortest), longest)
        chunk = int(chunk_s * 1_000_000) // cal.SLOTS * cal.SLOTS
        self.grid = Grid(shape.seed, shape.start // cal.SLOTS * cal.SLOTS, chunk)
        self.population = Population(shape.accounts, shape.seed)

    def _acts(self, number: int) -> Acts:
        phase = (self.grid.opening(number) % _DAY_US) / _DAY_US
        rate = self.shape.rate * (1.0 - self.shape.rhythm * math.cos(2.0 * math.pi * phase))
        return acts_of(self.grid, number, self.population, rate * self.grid.chunk / 1_000_000)

    def chunks(self, after: int | None) -> Iterator[Chunk]:
        """Yield the lines whose moment is greater than `after` (None: all from the start), without end."""
        writer = Writer(self.shape.seed)
        for rows in self.rows(after):
            yield Chunk(rows.moment, writer.lines(rows))

    def rows(self, after: int | None) -> Iterator[Rows]:
        """Yield what the lines say, chunk by chunk."""
        first = 0 if after is None else max(self.grid.number(after + 1), 0)
        depth = max(cal.HORIZON_S * 1_000_000 // self.grid.chunk, cal.UNDO_CHUNKS)
        horizon = Horizon(depth, self.grid.chunk / 1_000_000)
        recent: dict[int, Acts] = {}
        for number in count(first - depth):
            acts = self._acts(number)
            if number >= first:
                rows = self._rows(number, acts, recent, horizon)
                yield rows if number > first or after is None else rows.take(rows.moment > after)
            horizon.append(number, acts.posts)
            recent[number] = acts
            recent.pop(number - cal.UNDO_CHUNKS, None)

    def _rows(self, number: int, acts: Acts, recent: dict[int, Acts], horizon: Horizon) -> Rows:
        targets = Targets(self.grid, number, self.population, horizon)
        parts = [background(acts, targets, self.population), self._undos(number, recent)]
        parts += [arrivals(self.grid, number, len(acts.kind), targets), departures(self.grid, number, recent)]
        opening, closing = self.grid.opening(number), self.grid.opening(number + 1)
        for outbreak in self.outbreaks:
            rows = outbreak.rows(opening, closing)
            targets.aim(rows)
            parts.append(rows)
        return Rows.merged(parts)

    def _undos(self, number: int, recent: dict[int, Acts]) -> Rows:
        """Return the undoing of what was done in the chunks before, each act at most once."""
        due = [(acts, np.flatnonzero(acts.undone_in == number - before)) for before, acts in recent.items()]
        kind = np.concatenate([acts.kind[where] for acts, where in due])
        actor = np.concatenate([acts.actor[where] for acts, where in due])
        moment = np.concatenate([acts.moment[where] for acts, where in due])
        generator = self.grid.generator(STREAM_UNDOS, number)
        moments = self.grid.moments(number, cal.SLOT_UNDOS, len(kind), generator)
        rows = Rows.blank(np.full(len(kind), cal.DELETE, dtype=np.int8), actor, moments)
        rows.target[:], rows.target_moment[:] = kind, moment
        return rows
