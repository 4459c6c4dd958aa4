"""The simulator as a source: a synthetic network with known culprits, heard as from a live Jetstream v1.

The same seed gives the same bytes at any speed and from any cursor. A cursor is a moment of simulated time, µs:
everything up to it has been heard.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from consumers.scoring import Scorer, Vader
from consumers.sources import Delivery, SourceError
from consumers.sources.decoding.jetstream1 import decode_line
from consumers.sources.decoding.reading import Reading
from consumers.sources.simulation.calibration import EVENTS_PER_ACCOUNT, MAX_PLANTS
from consumers.sources.simulation.naming import Naming
from consumers.sources.simulation.network import Chunk, Network, Shape
from consumers.sources.simulation.pacing import Pace
from consumers.sources.simulation.plants import INDICATORS, Outbreak, Phenomenon, Plant, default_plant, sow
from consumers.sources.simulation.population import Population

__all__ = ["INDICATORS", "Culprits", "Phenomenon", "Plant", "SimulatedSource", "default_plant"]

START = 1_783_166_400_000_000
"""2026-07-04T12:00:00Z, µs: where a simulation starts unless told otherwise."""

_LEAST_ACCOUNTS, _MOST_ACCOUNTS = 100, 10_000_000
_LEAST_RATE, _MOST_RATE = 0.01, 20_000.0


@dataclass(slots=True, frozen=True)
class Culprits:
    """Who did a planted phenomenon, when (µs since 1970), and which indicator must find them."""

    phenomenon: Phenomenon
    indicator: str
    start: int
    end: int
    dids: tuple[str, ...]


@dataclass(slots=True)
class SimulatedSource:
    """A population's lines, decoded as those of any Jetstream v1.

    `rate` is background operations per second of simulated time (None: what so many accounts do on the real
    network), `duration` seconds of simulated time (None: without end), `speed` the multiple of real time (None:
    as fast as they are taken), `rhythm` in [0, 1) the swing over a day. `clock` and `sleep` set the pace.
    """

    accounts: int = 10_000
    seed: int = 0
    start: int = START
    rate: float | None = None
    speed: float | None = None
    duration: float | None = None
    plants: Sequence[Plant] = ()
    rhythm: float = 0.0
    score: Scorer = field(default_factory=Vader)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    _network: Network = field(init=False, repr=False)
    _outbreaks: list[Outbreak] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rate = self.accounts * EVENTS_PER_ACCOUNT if self.rate is None else self.rate
        rate = max(rate, _LEAST_RATE) if self.rate is None else rate
        self._check(rate)
        population = Population(self.accounts, self.seed)
        self._outbreaks = [
            sow(plant, index, start=self.start, rate=rate, population=population)
            for index, plant in enumerate(self.plants)
        ]
        self._network = Network(Shape(self.accounts, self.seed, self.start, rate, self.rhythm), self._outbreaks)

    def _check(self, rate: float) -> None:
        allowed = (
            ("accounts", self.accounts, _LEAST_ACCOUNTS, _MOST_ACCOUNTS),
            ("rate", rate, _LEAST_RATE, _MOST_RATE),
            ("seed", self.seed, 0, 2**32 - 1),
            ("rhythm", self.rhythm, 0.0, 0.99),
            ("number of plants", len(self.plants), 0, MAX_PLANTS),
        )
        for name, value, least, most in allowed:
            if not least <= value <= most:
                raise SourceError(f"the simulation's {name} is {value}; give one from {least} to {most}")
        for name, bound in (("speed", self.speed), ("duration", self.duration)):
            if bound is not None and not bound > 0:
                raise SourceError(f"the simulation's {name} is {bound}; give a positive one, or leave it out")
        for plant in self.plants:
            if not 0 < plant.culprits <= self.accounts // 2 or plant.lasting < 1.0 or plant.after < 0.0:
                raise SourceError(
                    f"a planted {plant.phenomenon} of {plant.culprits} culprits over {plant.lasting} s does not fit; "
                    f"give at most {self.accounts // 2} culprits, at least 1 s, and a start that is not negative"
                )

    @property
    def name(self) -> str:
        """The source id: `sim:` and the seed."""
        return f"sim:{self.seed}"

    @property
    def culprits(self) -> list[Culprits]:
        """Who does each planted phenomenon."""
        naming = Naming(self.seed)
        return [
            Culprits(
                outbreak.plant.phenomenon,
                INDICATORS[outbreak.plant.phenomenon],
                outbreak.start,
                outbreak.end,
                tuple(f"did:plc:{letters.decode()}" for letters in naming.dids(outbreak.culprits)),
            )
            for outbreak in self._outbreaks
        ]

    def chunks(self, cursor: int | None = None) -> Iterator[Chunk]:
        """Yield the lines after a cursor, a few thousand at a time, each with its moment."""
        end = None if self.duration is None else self.start + int(self.duration * 1_000_000)
        for chunk in self._network.chunks(cursor):
            if end is None or not len(chunk.moments) or chunk.moments[-1] < end:
                yield chunk
                continue
            kept = int(np.searchsorted(chunk.moments, end))
            yield Chunk(chunk.moments[:kept], chunk.lines[:kept])
            return

    async def slices(self, cursor: int | None = None) -> AsyncIterator[Chunk]:
        """Yield the lines after a cursor at the pace of `speed`, until `duration` is over."""
        pace = Pace(self.start if cursor is None else cursor, self.speed, self.clock, self.sleep)
        chunks = self.chunks(cursor)
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            first = 0
            for last in pace.cuts(chunk):
                await pace.reach(int(chunk.moments[last - 1]))
                yield Chunk(chunk.moments[first:last], chunk.lines[first:last])
                first = last

    async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        """Yield the same lines as deliveries of agent events."""
        reading = Reading(self.name, 0, _Remembered(self.score))
        async for piece in self.slices(cursor):
            moments: list[int] = piece.moments.tolist()
            delivery = Delivery(cursor=moments[-1])
            for moment, line in zip(moments, piece.lines, strict=True):
                reading.at(moment)
                decode_line(line, reading, delivery, moment)
            yield delivery


class _Remembered:
    """A scorer that judges each sentence once: the simulation has a few hundred of them."""

    def __init__(self, score: Scorer) -> None:
        self._score = score
        self._known: dict[tuple[str, ...], float | None] = {}

    def __call__(self, text: str, langs: Sequence[str]) -> float | None:
        key = (text, *langs)
        if key not in self._known:
            self._known[key] = self._score(text, langs)
        return self._known[key]
