"""The ranks that share the partitions of one log: what they must agree on, they exchange.

Every rank makes the same exchanges in the same order. A rank that is not there any more makes the others' exchange
fail, never wait for ever.
"""

from typing import Protocol, TypeVar

T = TypeVar("T")


class Peers(Protocol):
    """This rank and the others. What is exchanged is plain data."""

    @property
    def rank(self) -> int:
        """This rank's number, from 0."""

    @property
    def size(self) -> int:
        """How many ranks there are."""

    @property
    def pause(self) -> float:
        """Seconds that a rank may work before it meets the others again, where it need not."""

    def exchange(self, value: T) -> list[T]:
        """Give every rank each one's value, in the order of ranks; blocks until all have come."""

    async def meet(self, value: T) -> list[T]:
        """Do the same without blocking the event loop."""


class Alone:
    """The only rank."""

    rank = 0
    size = 1
    pause = 0.0

    def exchange(self, value: T) -> list[T]:
        """Give back the value."""
        return [value]

    async def meet(self, value: T) -> list[T]:
        """Give back the value."""
        return [value]
