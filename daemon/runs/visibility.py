"""How visible each agent is: by followers where enough of them are known, else by what it received.

Tiers are shares of a ranking, and a ranking needs one scale: followers and a window's interactions cannot be mixed in
it. So followers are the measure only when those of a set share of the window's agents are known; the few others are
placed among them by what they received, each getting the followers of the known agent of the same rank. Below that
share all are ranked by what they received. What is known depends on when it is asked, so a rerun of a window may rank
otherwise than the first run did; φ does not depend on it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from consumers.snapshot import Snapshot

Counts = NDArray[np.int64]


@dataclass(slots=True, frozen=True)
class Visibility:
    """`values` [N], not negative, in the order of the agents; `known`: agents whose followers are known."""

    values: Counts
    measure: Literal["followers", "received"] = "received"
    known: int = 0


Seen = Callable[[Snapshot], Visibility]


def by_received(snapshot: Snapshot) -> Visibility:
    """Measure by what each agent received."""
    return Visibility(snapshot.received)


def by_followers(known: Callable[[Sequence[str]], Counts], least: float) -> Seen:
    """Return the measure by followers; `known` gives them by agent, -1 for unknown, and `least` is the share needed."""

    def seen(snapshot: Snapshot) -> Visibility:
        followers = known(snapshot.agents)
        count = int(np.count_nonzero(followers >= 0))
        if count == 0 or count < least * len(followers):
            return Visibility(snapshot.received, known=count)
        return Visibility(placed(followers, snapshot.received), "followers", count)

    return seen


def placed(followers: Counts, received: Counts) -> Counts:
    """Return followers [N] with the unknown (-1) placed among the known by rank of what they received.

    Of the ranks that equals share, the one in the middle; at least one agent is known.
    """
    known = followers >= 0
    scale, steps, unknown = np.sort(followers[known]), np.sort(received[known]), received[~known]
    rank = (np.searchsorted(steps, unknown, "left") + np.searchsorted(steps, unknown, "right")) // 2
    values = followers.copy()
    values[~known] = scale[np.minimum(rank, scale.size - 1)]
    return values
