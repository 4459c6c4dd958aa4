"""The posts within the horizon, and which of them the next engagement meets.

A post's chance is its weight times the delay's density at its age. Both stages of a pick (chunk, then post) read
numbers that depend on one chunk each, so that a simulation entered at any moment picks the same posts bit by bit.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumers.sources.simulation.calibration import DELAY_MEDIAN_S, DELAY_SIGMA
from consumers.sources.simulation.identifiers import Integers

_CAPACITY = 1 << 14


@dataclass(slots=True)
class Posts:
    """Posts as columns; `weight` is the share of attention each would draw at the same age."""

    author: Integers
    moment: Integers
    is_reply: NDArray[np.bool_]
    weight: NDArray[np.float64]


@dataclass(slots=True)
class Picks:
    """Posts that were met, one a draw."""

    author: Integers
    moment: Integers
    is_reply: NDArray[np.bool_]


def delay_kernel(chunks: int, chunk_s: float) -> NDArray[np.float64]:
    """Return the chance that an engagement comes 1, 2, … chunks after its post (lognormal, not normalised)."""
    edges = (np.arange(chunks + 1) + 0.5) * chunk_s
    scaled = np.log(edges / DELAY_MEDIAN_S) / (DELAY_SIGMA * math.sqrt(2))
    cumulative = np.array([math.erf(value) for value in scaled])
    return np.diff(cumulative)


def _moved(held: NDArray[Any], capacity: int) -> NDArray[Any]:
    """Return an array of this capacity that begins with what is held."""
    moved = np.empty(capacity, dtype=held.dtype)
    moved[: len(held)] = held
    return moved


class Horizon:
    """The posts of the last `chunks` chunks: append one chunk after the other, draw in between."""

    def __init__(self, chunks: int, chunk_s: float) -> None:
        self._kernel = delay_kernel(chunks, chunk_s)[::-1].copy()
        self._totals = np.zeros(chunks)
        self._sizes = np.zeros(chunks, dtype=np.int64)
        self._head = self._tail = 0
        self._author = np.empty(_CAPACITY, dtype=np.int64)
        self._moment = np.empty(_CAPACITY, dtype=np.int64)
        self._is_reply = np.empty(_CAPACITY, dtype=np.bool_)
        self._mark = np.empty(_CAPACITY)

    def _make_room(self, size: int) -> None:
        """Move what is held to the front, of larger arrays where half of these would be full."""
        live = slice(self._head, self._tail)
        capacity = max(len(self._mark), 1 << (2 * (self._tail - self._head + size)).bit_length())
        self._author = _moved(self._author[live], capacity)
        self._moment = _moved(self._moment[live], capacity)
        self._is_reply = _moved(self._is_reply[live], capacity)
        self._mark = _moved(self._mark[live], capacity)
        self._head, self._tail = 0, self._tail - self._head

    def append(self, chunk: int, posts: Posts) -> None:
        """Take in a chunk's posts and let those of the oldest chunk go."""
        size = len(posts.author)
        self._head += int(self._sizes[0])
        if self._tail + size > len(self._mark):
            self._make_room(size)
        place = slice(self._tail, self._tail + size)
        cumulative = np.cumsum(posts.weight)
        total = float(cumulative[-1]) if size else 0.0
        self._author[place], self._moment[place], self._is_reply[place] = posts.author, posts.moment, posts.is_reply
        self._mark[place] = chunk + (cumulative / total if total else np.ones(size))
        self._tail += size
        self._totals[:-1] = self._totals[1:]
        self._sizes[:-1] = self._sizes[1:]
        self._totals[-1], self._sizes[-1] = total, size

    def draw(self, chunk: int, fractions: NDArray[np.float64], within: NDArray[np.float64]) -> Picks | None:
        """Return the posts met in `chunk`, one for each pair of numbers in [0, 1); None when there are no posts."""
        cumulative = np.cumsum(self._totals * self._kernel)
        if not cumulative[-1]:
            return None
        slot = np.searchsorted(cumulative, fractions * cumulative[-1], side="right")
        slot = np.minimum(slot, len(cumulative) - 1)
        marks = self._mark[self._head : self._tail]
        row = np.searchsorted(marks, chunk - len(cumulative) + slot + within, side="right")
        row = np.minimum(row, len(marks) - 1) + self._head
        return Picks(self._author[row], self._moment[row], self._is_reply[row])
