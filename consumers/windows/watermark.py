"""When a window is complete: how far every partition has come that is worth waiting for."""

from collections.abc import Iterable, Mapping


def least(tops: Mapping[int, int | None], waited_for: Iterable[int]) -> int | None:
    """Return the least of the greatest times of the partitions waited for; None where one of them has none yet."""
    times = [tops[partition] for partition in waited_for]
    known = [t for t in times if t is not None]
    return min(known) if known and len(known) == len(times) else None


class Idleness:
    """Which partitions are silent in wall-clock time. Times in µs, as the caller's clock gives them."""

    def __init__(self, partitions: Iterable[int], timeout: int, now: int) -> None:
        self._timeout = timeout
        self._heard = dict.fromkeys(partitions, now)

    def heard(self, partition: int, now: int) -> None:
        """Note that records of a partition arrived."""
        self._heard[partition] = now

    def idle(self, partition: int, now: int) -> bool:
        """Tell whether a partition has been silent for the timeout."""
        return now - self._heard[partition] >= self._timeout
