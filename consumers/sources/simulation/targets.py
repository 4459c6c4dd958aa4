"""Targets: which posts the acts of a chunk engage with, out of the posts before it."""

import numpy as np
from numpy.typing import NDArray

from consumers.sources.simulation import calibration as cal
from consumers.sources.simulation.acts import STREAM_TARGETS, Acts, Grid
from consumers.sources.simulation.identifiers import Integers
from consumers.sources.simulation.population import Population
from consumers.sources.simulation.posts import Horizon, Picks
from consumers.sources.simulation.rows import Rows

_MOODS_STEPS = 4
_MOOD_NOISE = 0.8
_OLDEST_S = 90 * 86_400
_STRANGERS_AMONG_FOLLOWED = 0.3


def moods(leaning: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.int8]:
    """Return the mood of a post by each of these authors."""
    drawn = leaning * _MOODS_STEPS + generator.normal(0.0, _MOOD_NOISE, size=len(leaning))
    return np.clip(np.rint(drawn), -_MOODS_STEPS, _MOODS_STEPS).astype(np.int8)


class Targets:
    """Draws posts for one chunk; the order of its calls is part of what a seed means."""

    def __init__(self, grid: Grid, number: int, population: Population, horizon: Horizon) -> None:
        self._number = number
        self._opening = grid.opening(number)
        self._population = population
        self._horizon = horizon
        self.generator = grid.generator(STREAM_TARGETS, number)

    def draw(self, count: int) -> Picks:
        """Return `count` posts: mostly recent ones by their weight, a few from before the horizon."""
        generator = self.generator
        recent = self._horizon.draw(self._number, generator.random(count), generator.random(count))
        old = self._old(count)
        if recent is None:
            return old
        kept = generator.random(count) >= cal.OLD_SHARE
        return Picks(
            np.where(kept, recent.author, old.author),
            np.where(kept, recent.moment, old.moment),
            np.where(kept, recent.is_reply, old.is_reply),
        )

    def _old(self, count: int) -> Picks:
        """Return posts from before the horizon, by accounts that act often."""
        ages = self.generator.integers(cal.HORIZON_S * 1_000_000, _OLDEST_S * 1_000_000, size=count)
        authors = self._population.actors(self.generator.random(count))
        return Picks(authors, self._opening - ages, np.zeros(count, dtype=np.bool_))

    def aim(self, rows: Rows) -> None:
        """Give a target to every row whose kind needs one and that has none."""
        unaimed = rows.target < 0
        self._aim_engagements(rows, np.flatnonzero(unaimed & ((rows.kind == cal.LIKE) | (rows.kind == cal.REPOST))))
        self._aim_replies(rows, np.flatnonzero(unaimed & (rows.kind == cal.REPLY)))
        self._aim_follows(rows, np.flatnonzero(unaimed & (rows.kind == cal.FOLLOW)))

    def _aim_engagements(self, rows: Rows, where: Integers) -> None:
        picks = self.draw(len(where))
        rows.target[where], rows.target_moment[where] = picks.author, picks.moment

    def _aim_replies(self, rows: Rows, where: Integers) -> None:
        """A reply to a reply has another post at the head of its thread: an earlier one."""
        parents, heads = self.draw(len(where)), self.draw(len(where))
        nested = parents.is_reply & (heads.moment < parents.moment)
        rows.target[where], rows.target_moment[where] = parents.author, parents.moment
        rows.root[where] = np.where(nested, heads.author, parents.author)
        rows.root_moment[where] = np.where(nested, heads.moment, parents.moment)

    def _aim_follows(self, rows: Rows, where: Integers) -> None:
        picks = self.draw(len(where))
        strangers = self.generator.integers(0, self._population.size, size=len(where))
        chance = self.generator.random(len(where)) < _STRANGERS_AMONG_FOLLOWED
        rows.target[where] = np.where(chance, strangers, picks.author)

    def quote(self, rows: Rows) -> None:
        """Make quotes of some posts and of a few replies."""
        share = np.zeros(len(rows))
        share[rows.kind == cal.POST] = cal.QUOTES_AMONG_POSTS
        share[rows.kind == cal.REPLY] = cal.QUOTES_AMONG_REPLIES
        where = np.flatnonzero((self.generator.random(len(rows)) < share) & (rows.quoted < 0))
        picks = self.draw(len(where))
        rows.quoted[where], rows.quoted_moment[where] = picks.author, picks.moment


def background(acts: Acts, targets: Targets, population: Population) -> Rows:
    """Return the rows of a chunk's acts, each with its target and its mood."""
    rows = Rows.blank(acts.kind, acts.actor, acts.moment)
    targets.aim(rows)
    targets.quote(rows)
    written = np.flatnonzero((rows.kind == cal.POST) | (rows.kind == cal.REPLY))
    rows.mood[written] = moods(population.leaning(rows.actor[written]), targets.generator)
    return rows
