"""What one run leaves for the next: who was published, and the memory of indicators that have one.

Kept in the checkpoint beside the windows of the same moment and the same partitions, so that the run after a restart
gives the same values and the same tombstones as it would have without one, however the partitions are shared then.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from consumers.windows.group import Image
from consumers.windows.names import packed, unpacked
from daemon.runs.recall import Published
from engine.panic import PanicMemory

VERSION = 2


@dataclass(slots=True)
class Carried:
    """`published` had a record in the last run; `memory` is by indicator, in the order of that run's `agents`.

    `partitions` are those of the agents, [N].
    """

    published: Published = field(default_factory=Published)
    agents: Sequence[str] = ()
    partitions: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    memory: dict[str, PanicMemory] = field(default_factory=dict)

    def reordered(self, agents: Sequence[str], erased: Collection[str]) -> dict[str, PanicMemory]:
        """Return the memory in the order of another run's agents; of the erased, nothing is remembered."""
        if not self.memory:
            return {}
        row_of = {name: row for row, name in enumerate(self.agents)}
        for name in erased:
            row_of.pop(name, None)
        index = torch.tensor([row_of.get(name, -1) for name in agents], dtype=torch.int64)
        return {name: memory.reordered(index) for name, memory in self.memory.items()}

    def dump(self, partitions: Iterable[int]) -> dict[int, Image]:
        """Return what is saved of each partition."""
        common = {name: [memory.volatility, memory.departed] for name, memory in self.memory.items()}
        left = {name: memory.left for name, memory in self.memory.items()}
        phi = {name: memory.phi.cpu().numpy() for name, memory in self.memory.items()}
        images: dict[int, Image] = {}
        for partition in partitions:
            arrays = _names("published", self.published.names, self.published.partitions == partition)
            if self.memory:
                own = self.partitions == partition
                arrays |= _names("agents", self.agents, own) | {f"phi.{name}": phi[name][own] for name in phi}
            images[partition] = ({"v": VERSION, "memory": common, "left": left}, arrays)
            left = dict.fromkeys(left, 0.0)  # a sum over partitions, whoever holds them next
        return images

    @classmethod
    def load(cls, images: Mapping[int, Image]) -> Self:
        """Read what was saved of some partitions; raises ValueError for what this version did not write."""
        common: dict[str, Any] = {}
        published: dict[int, list[str]] = {}
        agents: dict[int, list[str]] = {}
        for partition, (plain, arrays) in images.items():
            if plain.get("v") != VERSION:
                raise ValueError(f"the cycle's part of the checkpoint is not of version {VERSION}")
            common = plain["memory"]
            published[partition] = unpacked(arrays["published"], arrays["published_lengths"])
            agents[partition] = unpacked(arrays["agents"], arrays["agents_lengths"]) if common else []
        memory = {
            name: PanicMemory(
                volatility,
                torch.from_numpy(np.concatenate([arrays[f"phi.{name}"] for _, arrays in images.values()])),
                departed,
                sum(plain["left"][name] for plain, _ in images.values()),
            )
            for name, (volatility, departed) in common.items()
        }
        return cls(Published(*_joined(published)), *_joined(agents), memory)


def _names(what: str, names: Sequence[str], own: NDArray[np.bool_]) -> dict[str, NDArray[np.generic]]:
    rows = np.flatnonzero(own)
    chosen = names if rows.size == len(names) else [names[row] for row in rows.tolist()]
    content, lengths = packed(chosen)
    return {what: content, f"{what}_lengths": lengths}


def _joined(parts: Mapping[int, Sequence[str]]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names of all partitions, and the partition of each."""
    sizes = [len(part) for part in parts.values()]
    return [name for part in parts.values() for name in part], np.repeat(np.array(list(parts), np.int64), sizes)
