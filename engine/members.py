"""Who sits on a panel: the most visible agents, and as many drawn at random, whichever ranks hold them.

Equals go by identity, and the draw is by identity too, so a panel is the same however agents are ordered or shared.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.meeting import Meeting
from engine.memory import AT_ONCE
from engine.ranking import Strata
from engine.state import State
from engine.sweep import Chunk

Kind = Literal["visible", "uniform"]
_ODD, _OTHER = 0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9
_HALF = 32
_DRAWS = (1 << 63) - 1
"""The greatest draw."""
_SPARE = 8
"""Standard deviations: a bound so far above what is expected leaves too few draws below it next to never."""


@dataclass(frozen=True, slots=True)
class Members:
    """This rank's members of the panels of one kind, in the panels' order; each panel is the first so many of all.

    `agents` int64 [m] are this rank's indices, `sizes` the panels' sizes over all ranks, and `own` how many of each
    are here: the first of `agents`.
    """

    kind: Kind
    agents: Tensor
    tier: Tensor
    sizes: tuple[int, ...]
    own: tuple[int, ...]
    chunk: Chunk


def choose(
    state: State,
    preceding: State | None,
    ranking: Strata,
    *,
    sizes: Iterable[int],
    seed: int,
    identity: Tensor | None,
    meeting: Meeting,
) -> list[Members]:
    """Choose the panels of `sizes` of both kinds; a size above the number of all agents is left out.

    `identity` int64 [N] are the agents' own numbers, no two alike; None takes indices.
    """
    everyone = int(ranking.size.sum())
    fitting = tuple(sorted(size for size in set(sizes) if 0 < size <= everyone))
    if not fitting:
        return []
    names = _Names(state.n, state.device, identity, seed)
    seen = _most_visible(ranking, fitting[-1])
    some, drawn = _drawn(names, fitting[-1], everyone, meeting)
    keys: list[tuple[Kind, Tensor, Tensor, Tensor]] = [
        ("visible", seen, -ranking.visibility[seen], names.of(seen)),
        ("uniform", some, drawn >> _HALF, drawn & (1 << _HALF) - 1),
    ]
    members = []
    for kind, candidates, first, second in keys:
        chosen, places = _least(first, second, fitting[-1], meeting)
        agents = candidates[chosen]
        before = None if preceding is None else preceding.pick(agents)
        chunk = Chunk(0, len(agents), state.pick(agents), before)
        own = tuple(int((places < size).sum()) for size in fitting)
        members.append(Members(kind, agents, ranking.tier_of(agents), fitting, own, chunk))
    return members


def _most_visible(ranking: Strata, size: int) -> Tensor:
    """This rank's agents of the highest strata that have `size` agents together."""
    above = torch.cumsum(ranking.size.flip(0), 0)
    lowest = len(above) - 1 - int(torch.searchsorted(above, float(size)))
    return (ranking.label >= lowest).nonzero()[:, 0]


@dataclass(frozen=True, slots=True)
class _Names:
    """The numbers of n agents: `identity`, or else their indices."""

    n: int
    device: torch.device
    identity: Tensor | None
    seed: int

    def of(self, agents: Tensor) -> Tensor:
        """The numbers of some."""
        return agents if self.identity is None else self.identity[agents]

    def lowest(self, bound: int) -> tuple[Tensor, Tensor]:
        """Who draws no more than the bound, and what they draw."""
        agents, values = [], []
        for first in range(0, max(self.n, 1), AT_ONCE):
            last = min(first + AT_ONCE, self.n)
            draws = mixed(self.of(torch.arange(first, last, device=self.device)), self.seed)
            low = (draws <= bound).nonzero()[:, 0]
            agents.append(low + first)
            values.append(draws[low])
        return torch.cat(agents), torch.cat(values)


def _drawn(names: _Names, size: int, everyone: int, meeting: Meeting) -> tuple[Tensor, Tensor]:
    """This rank's agents who draw low enough that all ranks have `size` of them, and what they draw."""
    plenty = (size + _SPARE * math.sqrt(size) + _SPARE**2) / everyone
    found = names.lowest(min(int(plenty * _DRAWS), _DRAWS))
    if float(meeting.total(torch.tensor([len(found[0])], dtype=torch.float64))) >= size:
        return found
    return names.lowest(_DRAWS)


def mixed(number: Tensor, seed: int) -> Tensor:
    """Spread numbers over 63 bits, another way for each seed, no two alike becoming alike but by chance (2⁻⁶³)."""
    spread = (number + seed * _OTHER % (1 << 62)) * _ODD
    spread = (spread ^ (spread >> 31)) * _OTHER
    return (spread ^ (spread >> 29)) & _DRAWS


def _least(first: Tensor, second: Tensor, size: int, meeting: Meeting) -> tuple[Tensor, Tensor]:
    """Which of this rank's come among the `size` first over all ranks, by both keys, and their places there."""
    candidates = _first(first, second, size)
    high = second[candidates] >> _HALF
    low = second[candidates] & (1 << _HALF) - 1
    rows, begin = meeting.gather(torch.stack((first[candidates], high, low), dim=1).to("cpu", torch.float64))
    order = torch.arange(len(rows))
    for key in (2, 1, 0):
        order = order[torch.argsort(rows[order, key], stable=True)]
    here = order[:size] - begin
    places = ((here >= 0) & (here < len(candidates))).nonzero()[:, 0]
    return candidates[here[places].to(candidates.device)], places


def _first(first: Tensor, second: Tensor, size: int) -> Tensor:
    """At least the `size` agents that come first, and all that tie with the last of them by the first key."""
    if size >= len(first):
        return torch.arange(len(first), device=first.device)
    bound = first.topk(size, largest=False, sorted=False).values.max()
    below = (first < bound).nonzero()[:, 0]
    equal = (first == bound).nonzero()[:, 0]
    wanted = size - len(below)
    if len(equal) > wanted:
        equal = equal[second[equal].topk(wanted, largest=False, sorted=False).indices]
    return torch.cat((below, equal))
