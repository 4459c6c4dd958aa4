"""Many machines: each rank holds its own agents, and what must be known of all of them meets here.

A `Ranks` is the engine's `Meeting` over a torch.distributed group (gloo on CPUs, NCCL on GPUs): the totals meet in one
all-reduce of K numbers (K² and the whales' candidates for the oceanic method), and each φ stays where it was made.
Every rank must make the same calls in the same order, also a rank without agents.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from engine.errors import EngineError

PATIENCE = timedelta(seconds=60)
"""How long a rank waits for the others before it says that one is missing."""


class RankError(EngineError):
    """The ranks could not meet."""


class Ranks:
    """Where the ranks of a group meet; the group stays its maker's to close."""

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self._group = group
        nccl = dist.get_backend(group) == "nccl"
        self._device = torch.device("cuda", torch.cuda.current_device()) if nccl else torch.device("cpu")

    @property
    def rank(self) -> int:
        """This rank's number, from 0."""
        return dist.get_rank(self._group)

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return dist.get_world_size(self._group)

    def total(self, sums: Tensor) -> Tensor:
        """Sum a float64 tensor of one shape over ranks; each gets the same bits."""
        met = sums.to(self._device, copy=True)
        try:
            dist.all_reduce(met, group=self._group)
        except RuntimeError as error:
            raise self._apart(error) from error
        return met.to(sums.device)

    def gather(self, rows: Tensor) -> tuple[Tensor, int]:
        """Join float64 [m, D] of every rank, m its own, in the order of ranks; say where this rank's rows begin."""
        own = rows.to(self._device)
        counts = torch.zeros(self.size, dtype=torch.int64, device=self._device)
        counts[self.rank] = own.shape[0]
        try:
            dist.all_reduce(counts, group=self._group)
            padded = own.new_zeros(int(counts.max()), own.shape[1])
            padded[: own.shape[0]] = own
            everyone = [torch.empty_like(padded) for _ in range(self.size)]
            dist.all_gather(everyone, padded, group=self._group)
        except RuntimeError as error:
            raise self._apart(error) from error
        joined = torch.cat([part[:count] for part, count in zip(everyone, counts.tolist(), strict=True)])
        return joined.to(rows.device), int(counts[: self.rank].sum())

    def _apart(self, error: RuntimeError) -> RankError:
        cause = str(error).splitlines()[0]
        return RankError(f"rank {self.rank} of {self.size} lost the others: {cause}; restart them together")


@contextmanager
def joined(*, patience: timedelta = PATIENCE) -> Iterator[Ranks]:
    """Join the group that `torchrun` describes in the environment, and leave it at the end.

    NCCL where each rank has a GPU of its own (LOCAL_RANK chooses it), gloo elsewhere.

    Raises:
        RankError: when the process was not started by torchrun, or the others do not come within `patience`.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        raise RankError("RANK and WORLD_SIZE are not set; start the ranks with torchrun")
    local, beside = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    on_gpus = torch.cuda.is_available() and torch.cuda.device_count() >= beside
    if on_gpus:
        torch.cuda.set_device(local)
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=patience))  # type: ignore[attr-defined]  # it is public
        store = dist.PrefixStore(_attempt(), store)  # type: ignore[attr-defined]
        backend = "nccl" if on_gpus else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=patience)
    except (RuntimeError, ValueError) as error:
        cause = str(error).splitlines()[0]
        raise RankError(f"rank {os.environ['RANK']} could not join: {cause}; start the ranks with torchrun") from error
    try:
        yield Ranks()
    finally:
        dist.destroy_process_group()


def _attempt() -> str:
    """Name this start of the group: the launcher's store outlives a restart, and still has the addresses of the dead.

    Launchers of several machines count restarts each for itself: there the store must be a new one every time, as
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 makes it, and needs no name.
    """
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}" if shared else "attempt"
