"""What all ranks conclude, each by itself, from what each told the others: they begin, close and end at one moment."""

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.windows.shape import Shape


@dataclass(slots=True, frozen=True)
class Standing:
    """Where one rank is. Times in µs."""

    expecting: bool
    """Whether some of its partitions hold records of which none has come yet."""
    first: int | None
    """The earliest first event of its partitions, before the windows have begun."""
    tops: tuple[int | None, ...]
    """The greatest time of each of its partitions that is worth waiting for."""
    greatest: int | None
    """The greatest time of all its partitions."""
    clock: int
    due: bool
    """Whether it is time for a checkpoint."""
    leaving: bool


def beginning(standings: Sequence[Standing]) -> int | None:
    """Return when the windows begin: at the earliest first event, once every partition with records gave its first."""
    if any(one.expecting for one in standings):
        return None
    return min((one.first for one in standings if one.first is not None), default=None)


def greatest_of(standings: Sequence[Standing]) -> int | None:
    """Return the greatest time of all partitions."""
    return max((one.greatest for one in standings if one.greatest is not None), default=None)


def watermark(standings: Sequence[Standing], shape: Shape) -> int | None:
    """Return how far the stream is: the least of the partitions that are worth waiting for, else the wall clock.

    None where one of those waited for has no time yet. Of several wall clocks the slowest counts.
    """
    tops = [top for one in standings for top in one.tops]
    if tops:
        return _least(tops)
    wall = min(one.clock for one in standings) - shape.idle_timeout
    greatest = greatest_of(standings)
    return wall if greatest is None else max(greatest, wall)


def last_watermark(standings: Sequence[Standing], shape: Shape) -> int | None:
    """Return the watermark of a replay that has ended: only partitions with records not folded hold it back."""
    tops = [top for one in standings for top in one.tops]
    greatest = greatest_of(standings)
    if tops or greatest is None:
        return _least(tops)
    return shape.head_after(greatest) * shape.bucket + shape.lateness


def _least(tops: Sequence[int | None]) -> int | None:
    known = [top for top in tops if top is not None]
    return min(known) if known and len(known) == len(tops) else None
