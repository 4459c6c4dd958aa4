"""The sweeps by compiled kernels: whole blocks by the kernel, and by the plain path whoever needs a closer look.

That is the agents beyond the last whole block and the blocks that hold, or may hold, a whale.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.contributions import Game, RowsAt, differences
from engine.fusion import Kernel
from engine.kernels import FEW, NO_OUT, Inputs, Phase
from engine.lanes import WIDTH, blocks
from engine.sums import products
from engine.sweep import Chunk, Sweeper


@dataclass(frozen=True, slots=True)
class Fused:
    """One kernel over the states of a sweep."""

    kernel: Kernel
    game: Game
    sweep: Sweeper

    def __call__(
        self,
        weights: Tensor | None = None,
        linear: Tensor | None = None,
        quadratic: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Run it; give its sums, [D, blocks]. `out` [N] takes phi."""
        state, preceding, k = self.sweep.state, self.sweep.preceding, self.game.moments
        now = blocks(state.columns)

        def ready(given: Tensor | None, *shape: int) -> Tensor:
            # A copy too where it is there already: kernels take for granted how their inputs lie.
            if given is None:
                return torch.zeros(shape, dtype=torch.float64, device=state.device)
            return given.to(state.device, torch.float64).contiguous()

        inputs = Inputs(
            now=now,
            before=now if preceding is None else blocks(preceding.columns),
            levels=ready(self.game.everyone, k),
            weights=ready(weights, k),
            linear=ready(linear, k),
            quadratic=ready(quadratic, k, k),
            out=ready(None, *NO_OUT) if out is None else out[: now.shape[1] * WIDTH].view(now.shape[1:]),
        )
        return torch.stack(list(self.kernel(*inputs.tensors())))

    def closer(self, suspects: Tensor) -> tuple[Tensor, Chunk]:
        """Leave these blocks, int64, to the plain path: which blocks the kernel keeps, and the others' agents."""
        state, preceding = self.sweep.state, self.sweep.preceding
        count = state.n // WIDTH
        kept = torch.ones(count, dtype=torch.bool, device=state.device)
        kept[suspects] = False
        of_blocks = (~kept).nonzero() * WIDTH + torch.arange(WIDTH, device=state.device)
        agents = torch.cat((of_blocks.reshape(-1), torch.arange(count * WIDTH, state.n, device=state.device)))
        before = None if preceding is None else preceding.pick(agents)
        return kept, Chunk(0, len(agents), state.pick(agents), before, agents=agents)


def fused(game: Game, phase: Phase, sweep: Sweeper) -> Fused | None:
    """Give the kernel where there is one and enough agents for it."""
    if sweep.fusion is None or (sweep.preceding is not None and sweep.preceding.columns.dtype != torch.int32):
        return None
    kernel = sweep.fusion.kernel(game, phase, sweep.state)
    # A compiler takes sizes of 0 and 1 for special.
    return Fused(kernel, game, sweep) if kernel is not None and sweep.state.n >= 2 * WIDTH else None


def nobody(sweep: Sweeper) -> Tensor:
    """No block."""
    return torch.zeros(0, dtype=torch.int64, device=sweep.state.device)


def suspects(tops: Tensor, whales: int) -> Tensor:
    """The blocks among whose agents the whales must be: `tops` [K, blocks] is the greatest |Δg| of each."""
    count = min(2 * whales + 1 if whales else 0, tops.shape[1])
    top = tops.topk(count, dim=1)
    found: Tensor = torch.unique(top.indices[top.values > 0])
    return found


def first(found: Fused, whales: int, *, spread: bool) -> tuple[Tensor, Chunk]:
    """The first sweep: sums over the blocks that the kernel keeps, and everybody else."""
    sums = found()
    k = found.game.moments
    chosen = suspects(sums[-k:], whales) if spread else nobody(found.sweep)
    kept, others = found.closer(chosen)
    if not spread:
        return sums[:, kept].sum(1), others
    met = sums[:-k, kept].sum(1)
    if k > FEW:
        met = torch.cat((met[: 2 * k], _products(found, others).reshape(-1), met[2 * k :]))
    return met, others


def _products(found: Fused, others: Chunk) -> Tensor:
    """ΣΔg Δgᵀ without the others', [K, K]."""
    left = others.agents
    assert left is not None

    def part(chunk: Chunk) -> Tensor:
        rows = RowsAt(chunk)
        delta = differences(rows.own(found.game), rows.base(found.game), chunk.now)
        first, last = torch.searchsorted(left, torch.tensor([chunk.start, chunk.stop], device=left.device)).tolist()
        return products(delta, left[first:last] - chunk.start, found.game.moments)[:-1]

    return torch.stack(found.sweep.each(part)).sum(0)


def second(
    found: Fused, *, weights: Tensor, linear: Tensor | None, quadratic: Tensor | None, out: Tensor, whales: Tensor
) -> tuple[Tensor, Chunk]:
    """The second sweep: `out` [N] takes phi, which is still to be written for everybody that is given back."""
    sums = found(weights, linear, quadratic, out)
    places = whales[(whales >= 0) & (whales < sums.shape[1] * WIDTH)].to(out.device) // WIDTH
    kept, others = found.closer(places)
    return sums[:, kept].sum(1), others
