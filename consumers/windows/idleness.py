"""Which partitions are worth waiting for."""

from collections.abc import Iterable


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
