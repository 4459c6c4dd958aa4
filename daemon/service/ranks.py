"""The ranks that torchrun started, over torch.distributed: what they exchange, and where the engine's sums meet.

Exchanges have a group of their own, over gloo whatever the engine uses. Who finds the others gone ends with an error;
torchrun then starts all of them again.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed as dist

from consumers.peers import Alone, Peers
from daemon.service.share import Share
from engine.meeting import Alone as NoMeeting
from engine.meeting import Meeting
from engine.ranks import RankError, joined

T = TypeVar("T")
PAUSE = 0.2
"""Seconds that a rank may fold before it tells the others where it is."""


class Others:
    """`Peers` over a process group."""

    pause = PAUSE

    def __init__(self, group: Any) -> None:
        self._group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)

    def exchange(self, value: T) -> list[T]:
        """Give every rank each one's value, in the order of ranks. Raises RankError where one is gone."""
        values: list[T | None] = [None] * self.size
        try:
            dist.all_gather_object(values, value, group=self._group)
        except RuntimeError as error:
            cause = str(error).splitlines()[0]
            raise RankError(f"rank {self.rank} of {self.size} lost the others: {cause}") from error
        return values  # type: ignore[return-value]  # all are filled

    async def meet(self, value: T) -> list[T]:
        """Do the same on a thread."""
        return await asyncio.to_thread(self.exchange, value)


@contextmanager
def ranks(share: Share, patience: timedelta) -> Iterator[tuple[Peers, Meeting]]:
    """Join the others, and leave them at the end. Raises RankError where they do not come within `patience`."""
    if not share.launched:
        yield Alone(), NoMeeting()
        return
    with joined(patience=patience) as meeting:
        yield Others(dist.new_group(backend="gloo", timeout=patience)), meeting
