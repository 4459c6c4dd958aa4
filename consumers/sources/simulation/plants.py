"""Plants: phenomena whose culprits are known, sown into the background.

Each plant names its culprits, its time and the indicator that must find them. Its rows are made once, from the
seed, and handed out chunk by chunk.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from consumers.sources.simulation import calibration as cal
from consumers.sources.simulation.identifiers import Integers
from consumers.sources.simulation.population import Population
from consumers.sources.simulation.rows import ABSENT, Rows

Phenomenon = Literal["cascade", "polarization", "burst"]
INDICATORS: dict[Phenomenon, str] = {"cascade": "cascade", "polarization": "polarization", "burst": "synchrony"}
"""The indicator that each phenomenon moves."""

_STREAM = 77
_MINUTE_US = 60_000_000
_MOST_ROWS = 400_000
_QUOTES_IN_CASCADE = 0.2
_REPLIES_TO_CAMP = 0.15
_CAMP_REPLIES_EACH = 6


@dataclass(slots=True, frozen=True)
class Plant:
    """A phenomenon to sow: from `after` s into the simulation, for `lasting` s, by `culprits` accounts.

    `share` is how many operations it adds, relative to the background's in the same time.
    """

    phenomenon: Phenomenon
    after: float
    lasting: float
    culprits: int
    share: float


@dataclass(slots=True, frozen=True)
class Outbreak:
    """A plant that has been sown: who did it, when (µs), and the rows."""

    plant: Plant
    culprits: Integers
    start: int
    end: int
    _rows: Rows

    def rows(self, opening: int, closing: int) -> Rows:
        """Return the rows with a moment in [opening, closing)."""
        low, high = np.searchsorted(self._rows.moment, (opening, closing)).tolist()
        return self._rows.take(np.arange(low, high))


def default_plant(phenomenon: Phenomenon, accounts: int, duration: float) -> Plant:
    """Return a plant that stands out of the background at any scale, in the last third of `duration` s."""
    if phenomenon == "cascade":
        return Plant(phenomenon, duration * 0.55, duration * 0.4, min(5, 1 + accounts // 500), 0.15)
    if phenomenon == "polarization":
        return Plant(phenomenon, duration * 0.5, duration * 0.45, int(np.clip(accounts // 2_000, 12, 500)), 0.3)
    return Plant(phenomenon, duration * 0.8, min(60.0, duration * 0.02), int(np.clip(accounts // 1_000, 20, 500)), 1.5)


@dataclass(slots=True)
class _Sketch:
    """Rows before they have a place in time: `when` in [0, 1], `refers` the number of the row engaged with."""

    kind: NDArray[np.int8]
    actor: Integers
    refers: Integers
    when: NDArray[np.float64]
    mood: NDArray[np.int8]


def sow(plant: Plant, index: int, *, start: int, rate: float, population: Population) -> Outbreak:
    """Make the rows of plant number `index` of a simulation that starts at `start` with this background rate."""
    generator = np.random.Generator(np.random.PCG64([population.seed, _STREAM, index]))
    quiet = population.size // 2
    drawn = generator.choice(population.size - quiet, size=plant.culprits, replace=False)
    culprits = np.sort(drawn).astype(np.int64) + quiet
    places = int(plant.lasting * 1_000_000) // cal.SLOTS
    count = int(np.clip(plant.share * rate * plant.lasting, 12 * plant.culprits, min(_MOST_ROWS, places // 2)))
    sketch = _MAKERS[plant.phenomenon](generator, culprits, count, population)
    opening = start + int(plant.after * 1_000_000)
    if plant.phenomenon == "burst":
        opening = _within_a_minute(opening, int(plant.lasting * 1_000_000), start)
    opening -= opening % cal.SLOTS
    rows = _place(sketch, opening + cal.SLOT_PLANTS + index, places)
    return Outbreak(plant, culprits, int(rows.moment[0]), int(rows.moment[-1]) + 1, rows)


def _within_a_minute(opening: int, lasting: int, start: int) -> int:
    """Return when to begin so that what fits into one minute of the clock is in one, and not before `start`."""
    into = opening % _MINUTE_US
    if lasting > _MINUTE_US or into + lasting <= _MINUTE_US:
        return opening
    return opening - into if opening - into >= start else opening - into + _MINUTE_US


def _place(sketch: _Sketch, opening: int, places: int) -> Rows:
    """Give each row its moment, and to what refers to a row that row's author and moment."""
    count = len(sketch.kind)
    order = np.argsort(sketch.when, kind="stable")
    place_of = np.empty(count, dtype=np.int64)
    place_of[order] = np.arange(count)
    spread = (sketch.when[order] * (places - count)).astype(np.int64) + np.arange(count)
    rows = Rows.blank(sketch.kind[order], sketch.actor[order], opening + spread * cal.SLOTS)
    rows.mood[:] = sketch.mood[order]
    refers = sketch.refers[order]
    met = np.where(refers < 0, ABSENT, place_of[refers])
    author, moment = np.where(met < 0, ABSENT, rows.actor[met]), np.where(met < 0, ABSENT, rows.moment[met])
    quotes, replies = rows.kind == cal.POST, rows.kind == cal.REPLY
    rows.quoted[quotes], rows.quoted_moment[quotes] = author[quotes], moment[quotes]
    rows.root[replies], rows.root_moment[replies] = author[replies], moment[replies]
    rows.target[~quotes], rows.target_moment[~quotes] = author[~quotes], moment[~quotes]
    return rows


def _cascade(generator: np.random.Generator, culprits: Integers, count: int, population: Population) -> _Sketch:
    """Each culprit writes one post; a crowd reposts and quotes these, most of it soon."""
    seeds, crowd = len(culprits), count - len(culprits)
    kind = np.where(generator.random(crowd) < _QUOTES_IN_CASCADE, cal.POST, cal.REPOST)
    return _Sketch(
        np.concatenate((np.full(seeds, cal.POST), kind)).astype(np.int8),
        np.concatenate((culprits, population.actors(generator.random(crowd)))),
        np.concatenate((np.full(seeds, ABSENT), generator.integers(0, seeds, size=crowd))),
        np.concatenate((np.linspace(0.0, 0.01, seeds), 0.01 + 0.99 * generator.random(crowd) ** 1.5)),
        np.zeros(count, dtype=np.int8),
    )


def _camp(generator: np.random.Generator, culprits: Integers, count: int, population: Population) -> _Sketch:
    """Culprits reply to what many read, in the strongest words; a crowd likes and answers these replies."""
    written = np.repeat(culprits, _CAMP_REPLIES_EACH)
    replies, crowd = len(written), count - len(written)
    kind = np.where(generator.random(crowd) < _REPLIES_TO_CAMP, cal.REPLY, cal.LIKE)
    refers = generator.integers(0, replies, size=crowd)
    when = 0.6 * generator.random(replies)
    after = when[refers] + (1.0 - when[refers]) * (0.001 + 0.999 * generator.random(crowd) ** 2)
    strong = generator.choice((-4, -4, -4, -3), size=replies)
    return _Sketch(
        np.concatenate((np.full(replies, cal.REPLY), kind)).astype(np.int8),
        np.concatenate((written, population.actors(generator.random(crowd)))),
        np.concatenate((np.full(replies, ABSENT), refers)),
        np.concatenate((when, after)),
        np.concatenate((strong, generator.integers(-1, 2, size=crowd))).astype(np.int8),
    )


def _burst(generator: np.random.Generator, culprits: Integers, count: int, population: Population) -> _Sketch:  # noqa: ARG001 - the form of a maker
    """Culprits do whatever people do, but all at the same time."""
    return _Sketch(
        generator.choice((cal.LIKE, cal.LIKE, cal.LIKE, cal.REPOST, cal.POST), size=count).astype(np.int8),
        generator.choice(culprits, size=count),
        np.full(count, ABSENT),
        generator.random(count),
        np.zeros(count, dtype=np.int8),
    )


_MAKERS: dict[Phenomenon, Callable[[np.random.Generator, Integers, int, Population], _Sketch]] = {
    "cascade": _cascade,
    "polarization": _camp,
    "burst": _burst,
}
