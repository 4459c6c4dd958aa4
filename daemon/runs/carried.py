"""What one run leaves for the next: who was published, and the memory of indicators that have one.

Kept in the checkpoint beside the windows of the same moment, so that the run after a restart gives the same values
and the same tombstones as it would have without one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import orjson
import torch

from engine.panic import PanicMemory

VERSION = 1


@dataclass(slots=True)
class Carried:
    """`published` had a record in the last run; `memory` is by indicator, in the order of that run's `agents`."""

    published: Sequence[str] = ()
    agents: Sequence[str] = ()
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

    def dump(self) -> bytes:
        """Return this as bytes; floats keep every bit."""
        document: dict[str, Any] = {"v": VERSION, "published": list(self.published)}
        if self.memory:
            document["agents"] = list(self.agents)
            document["memory"] = {
                name: {
                    "volatility": memory.volatility,
                    "departed": memory.departed,
                    "phi": memory.phi.cpu().numpy(),
                }
                for name, memory in self.memory.items()
            }
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)

    @classmethod
    def load(cls, blob: bytes) -> Self:
        """Read a dump; raises ValueError for one that this version did not write."""
        document = orjson.loads(blob)
        if not isinstance(document, dict) or document.get("v") != VERSION:
            raise ValueError(f"the cycle's part of the checkpoint is not of version {VERSION}")
        memory = {
            name: PanicMemory(kept["volatility"], torch.from_numpy(np.array(kept["phi"], np.float64)), kept["departed"])
            for name, kept in document.get("memory", {}).items()
        }
        return cls(document["published"], document.get("agents", []), memory)
