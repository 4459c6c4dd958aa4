"""What a campaign's processes read: a host on loopback whose stream goes on as far as the campaign has come."""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from consumers.windows.shape import Shape
from tests.campaigns.verdict import Table

PARTITIONS = 3


@dataclass(slots=True, frozen=True)
class Given:
    """All that a producer gave: as a recording in the order of its stream, and as it counted itself, if it did."""

    recording: Path
    counts: Table | None = None
    """Of each agent in the last window: the columns that say what was done, not when."""
    closers: frozenset[str] = frozenset()
    """Agents that only close the last window, and are not in `counts`: what it holds of them is a matter of time."""


class Producer(ABC):
    """Enter it, and it listens."""

    protocol: str
    """As `--source` names it."""

    address: str
    shape: Shape
    """Of the windows that its events fill."""

    settings: tuple[str, ...] = ()
    """Of the bridge that reads it."""

    place: int | None = None
    """The cursor of a bridge that is to read from the beginning, where it does not do so without one."""

    def __init__(self) -> None:
        self.manners: Counter[str] = Counter()
        """Lines `repeated` on one connection; connections `dropped`."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @abstractmethod
    def release(self, share: float) -> None:
        """Give the stream up to this share of the whole."""

    @abstractmethod
    def finish(self, folder: Path) -> Given:
        """Give all that is left, and what closes the last window; return what was given, recorded into a folder."""
