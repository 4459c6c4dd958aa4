"""Acts: who does what and when in one chunk, a function of the seed and the chunk's number alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.sources.simulation import calibration as cal
from consumers.sources.simulation.identifiers import Integers
from consumers.sources.simulation.population import Population
from consumers.sources.simulation.posts import Posts

STREAM_ACTS, STREAM_TARGETS, STREAM_NEWCOMERS, STREAM_UNDOS = range(4)
"""What random numbers are drawn for: each purpose has its own stream in each chunk."""

_PAST = 1 << 40


@dataclass(slots=True, frozen=True)
class Grid:
    """How time is cut: chunk c holds the moments from `start + c * chunk` µs, c may be negative."""

    seed: int
    start: int
    chunk: int

    def generator(self, stream: int, number: int) -> np.random.Generator:
        """Return the random numbers of one purpose in one chunk."""
        return np.random.Generator(np.random.PCG64([self.seed, stream, number + _PAST]))

    def opening(self, number: int) -> int:
        """Return the first moment of a chunk, a multiple of `SLOTS`."""
        return self.start + number * self.chunk

    def number(self, moment: int) -> int:
        """Return the chunk that holds a moment."""
        return (moment - self.start) // self.chunk

    def moments(self, number: int, slot: int, count: int, generator: np.random.Generator) -> Integers:
        """Return `count` moments of a chunk in rising order, never the same, with the residue `slot`."""
        places = self.chunk // cal.SLOTS
        drawn = np.sort(generator.integers(0, places - count, size=count)) + np.arange(count)
        return self.opening(number) + drawn * cal.SLOTS + slot


@dataclass(slots=True)
class Acts:
    """The acts of one chunk by rising moment. `undone_in` is after how many chunks an act is undone, 0 for never."""

    kind: NDArray[np.int8]
    actor: Integers
    moment: Integers
    undone_in: NDArray[np.int8]
    posts: Posts


def _kinds(fractions: NDArray[np.float64]) -> NDArray[np.int8]:
    creates = 1.0 - cal.UPDATE_SHARE - cal.IDENTITY_SHARE
    shares = {kind: share * creates for kind, share in cal.CREATE_MIX.items()}
    shares |= {cal.UPDATE: cal.UPDATE_SHARE, cal.IDENTITY: cal.IDENTITY_SHARE}
    codes = np.array(list(shares), dtype=np.int8)
    bounds = np.cumsum(list(shares.values()))
    return codes[np.minimum(np.searchsorted(bounds, fractions, side="right"), len(codes) - 1)]


def acts_of(grid: Grid, number: int, population: Population, expected: float) -> Acts:
    """Return the acts of a chunk in which `expected` are to be expected."""
    generator = grid.generator(STREAM_ACTS, number)
    count = min(int(generator.poisson(expected)), grid.chunk // cal.SLOTS // 2)
    kind = _kinds(generator.random(count))
    actor = population.actors(generator.random(count))
    moment = grid.moments(number, cal.SLOT_ACTS, count, generator)
    undone = (generator.random(count) < cal.DELETED_SHARE) & (kind <= cal.FOLLOW)
    undone_in = np.where(undone, generator.integers(1, cal.UNDO_CHUNKS + 1, size=count), 0).astype(np.int8)
    written = np.flatnonzero((kind == cal.POST) | (kind == cal.REPLY))
    author = actor[written]
    pareto = (1.0 - generator.random(len(written))) ** (-1.0 / (cal.LIKES_TAIL - 1.0))
    seen = generator.random(len(written)) >= cal.UNSEEN
    weight = np.minimum(pareto * population.popularity(author), cal.GREATEST_WEIGHT)
    weight[~seen] = 0.0
    posts = Posts(author, moment[written], kind[written] == cal.REPLY, weight)
    return Acts(kind, actor, moment, undone_in, posts)
