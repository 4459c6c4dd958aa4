"""One rank, started by torchrun: attribute a share of the agents, analyse it, keep what was found in a file.

Arguments: output folder, agents, seed. The last of several ranks has no agents at all.
"""

import sys
from itertools import pairwise
from pathlib import Path

import torch

from engine.analysis import analyse
from engine.attribution import attribute
from engine.ranks import joined
from engine.registry import get
from engine.state import State
from tests.populations import population

NAMES = ("polarization", "attention", "cascade", "activity", "synchrony")
METHODS = ("aumann-shapley", "oceanic")


def shares(n: int, ranks: int) -> list[slice]:
    """Uneven shares, the last one empty where there are several ranks."""
    if ranks == 1:
        return [slice(0, n)]
    cuts = [n * (index * index) // (ranks - 1) ** 2 for index in range(ranks)]
    return [*(slice(*pair) for pair in pairwise(cuts)), slice(n, n)]


def main(out: str, agents: str, seed: str) -> None:
    n = int(agents)
    with joined() as ranks:
        mine = shares(n, ranks.size)[ranks.rank]
        state = State(torch.from_numpy(population(n, int(seed))[:, mine].copy()))
        before = State(torch.from_numpy(population(n, int(seed) + 1)[:, mine].copy()))
        identity = torch.arange(n)[mine]
        answers = {
            (name, kind, method): attribute(get(name), state, baseline, method=method, gap=True, meeting=ranks)
            for name in NAMES
            for kind, baseline in (("neutral", None), ("preceding", before))
            for method in METHODS
        }
        found = analyse(state, before, indicators=NAMES, panel_sizes=(100, 1000), identity=identity, meeting=ranks)
        torch.save((answers, found), Path(out) / f"{ranks.rank}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
