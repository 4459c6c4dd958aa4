"""Who acts how often, who is listened to and who leans which way: functions of an account's number, no tables."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.sources.simulation.calibration import ACTIVITY_EXPONENT, AUTHOR_TAIL
from consumers.sources.simulation.identifiers import Integers, unit

_POPULARITY, _LEANING = 11, 12
_GREATEST_POPULARITY = 2_000.0


@dataclass(slots=True, frozen=True)
class Population:
    """`size` accounts numbered from 0, the most active first; popularity and leaning do not follow that order."""

    size: int
    seed: int

    def actors(self, fractions: NDArray[np.float64]) -> Integers:
        """Return the accounts at these fractions, in [0, 1), of all acts."""
        shift = 1e-5 + 2.0 / self.size
        power = 1.0 - ACTIVITY_EXPONENT
        low, high = shift**power, (1.0 + shift) ** power
        ranks = (low + fractions * (high - low)) ** (1.0 / power) - shift
        accounts: Integers = np.minimum((ranks * self.size).astype(np.int64), self.size - 1)
        return accounts

    def popularity(self, accounts: Integers) -> NDArray[np.float64]:
        """Return how much more than the least popular an account is listened to, at least 1."""
        pareto = unit(accounts, self.seed * 16 + _POPULARITY) ** (-1.0 / AUTHOR_TAIL)
        return np.minimum(pareto, _GREATEST_POPULARITY)

    def leaning(self, accounts: Integers) -> NDArray[np.float64]:
        """Return the mean mood of an account's posts in [-1, 1]; most are near zero, more above than below."""
        return 3.0 * (unit(accounts, self.seed * 16 + _LEANING) - 0.45) ** 3
