"""Volatility over runs: an indicator with memory.

With e the change of F from the preceding window and δᵢ that change's attribution, h ← ρh + (1−ρ)e² and
φᵢ ← ρφᵢ + (1−ρ)·e·δᵢ. The memory is plain data that its owner keeps, checkpoints and
hands back in the order of the next run's agents.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.errors import StateError
from engine.meeting import Alone, Meeting
from engine.memory import room
from engine.results import Attribution


@dataclass(slots=True)
class PanicMemory:
    """What the runs so far leave.

    `volatility` is h, `phi` float64 [N] one for each of this rank's agents in the last run, in its order, `departed`
    the sum of phi of those who had left by then, on any rank, and `left` of this rank's who left since. Over all
    ranks, Σphi + departed + Σleft = h.
    """

    volatility: float
    phi: Tensor
    departed: float = 0.0
    left: float = 0.0

    @classmethod
    def empty(cls, n: int, device: torch.device | str = "cpu") -> "PanicMemory":
        """Give the memory of no run, for `n` agents."""
        return cls(0.0, torch.zeros(n, dtype=torch.float64, device=device))

    def reordered(self, index: Tensor) -> "PanicMemory":
        """Give the memory in a new order: agent i was agent `index[i]`, or is new where that is -1.

        `index` is int64 [N of the new run]. Agents whom it does not name have left; their phi goes to `left`.
        """
        index = index.to(self.phi.device)
        known = index >= 0
        phi = torch.zeros(len(index), dtype=torch.float64, device=self.phi.device)
        phi[known] = self.phi[index[known]]
        gone = torch.ones(len(self.phi), dtype=torch.bool, device=self.phi.device)
        gone[index[known]] = False
        return PanicMemory(self.volatility, phi, self.departed, self.left + float(self.phi[gone].sum()))


def remembered(
    change: Attribution, memory: PanicMemory, rho: float, meeting: Meeting | None = None
) -> tuple[Attribution, PanicMemory]:
    """Fold one run's change into the memory, and give the volatility's attribution and the new memory.

    The answer's value is h, its baseline value what those who left still carry, so that Σφ is their difference.

    Raises:
        StateError: when the memory holds another number of agents.
    """
    if memory.phi.shape != change.phi.shape:
        raise StateError(
            f"the memory of {change.indicator!r} holds {len(memory.phi)} agents and the run {len(change.phi)}; "
            "reorder it to the run's agents first",
        )
    step = change.value - change.baseline_value
    phi = room(tuple(change.phi.shape), change.phi.device)
    torch.mul(memory.phi.to(phi.device), rho, out=phi).add_(change.phi, alpha=(1 - rho) * step)
    own = torch.tensor([float(phi.sum()), memory.left], dtype=torch.float64)
    total, left = (meeting or Alone()).total(own).tolist()
    fresh = PanicMemory(rho * memory.volatility + (1 - rho) * step**2, phi, rho * (memory.departed + left))
    residual = abs(total - fresh.volatility + fresh.departed)
    scale = max(abs(fresh.volatility), torch.finfo(torch.float64).tiny)
    answer = replace(
        change,
        value=fresh.volatility,
        baseline_value=fresh.departed,
        phi=fresh.phi,
        sum_phi=total,
        residual=max(change.residual, residual / scale),
    )
    return answer, fresh
