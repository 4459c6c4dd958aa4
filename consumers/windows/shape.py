"""The shape of the windows: how long, in which buckets, how often they close. All times are µs since the epoch."""

from dataclasses import dataclass
from typing import Final

from engine.columns import PHASES

SECOND = 1_000_000

FOREVER: Final = 1 << 62
"""A time that never comes."""


class WindowError(ValueError):
    """Windows that cannot be; the message is one sentence that says which value to change."""


@dataclass(slots=True, frozen=True)
class Shape:
    """Windows of `length` made of buckets of width `bucket`, aligned to the epoch, closing every `hop` (all µs).

    `lateness` is how long a window waits, in stream time, for events that are behind; `idle_timeout` how long, in
    wall-clock time, a partition may be silent before the others no longer wait for it. `skew` is how far ahead of
    the wall clock an event may move the watermark.
    """

    length: int = 3600 * SECOND
    bucket: int = 60 * SECOND
    hop: int = 0
    lateness: int = 5 * SECOND
    idle_timeout: int = 15 * SECOND
    skew: int = 10 * SECOND

    def __post_init__(self) -> None:
        if not self.hop:
            object.__setattr__(self, "hop", self.bucket)
        for name in ("length", "bucket", "hop"):
            if getattr(self, name) <= 0:
                raise WindowError(f"the window's {name} is {getattr(self, name)} µs: give a positive duration")
        for name in ("lateness", "idle_timeout", "skew"):
            if getattr(self, name) < 0:
                raise WindowError(f"the windows' {name} is {getattr(self, name)} µs: it cannot be negative")
        if self.length % self.bucket or self.buckets % len(PHASES):
            raise WindowError(
                f"a window of {self.length / SECOND:g} s is not a multiple of {len(PHASES)} buckets of "
                f"{self.bucket / SECOND:g} s: change the window or the bucket"
            )
        if self.hop % self.bucket or self.length % self.hop:
            raise WindowError(
                f"a hop of {self.hop / SECOND:g} s is not a multiple of the bucket that divides the window: change it"
            )

    @property
    def buckets(self) -> int:
        """How many buckets a window has, n; a multiple of 12."""
        return self.length // self.bucket

    @property
    def hop_buckets(self) -> int:
        """How many buckets a hop has."""
        return self.hop // self.bucket

    @property
    def phase_buckets(self) -> int:
        """How many buckets share a phase column."""
        return self.buckets // len(PHASES)

    def head_after(self, t: int) -> int:
        """Return the first bucket after the hop that holds `t`: the window that ends there is the first with `t`."""
        hop = self.hop_buckets
        return (t // self.bucket // hop + 1) * hop

    def fingerprint(self) -> dict[str, int]:
        """Return what a saved state must agree on to be continued: the buckets and the windows made of them."""
        return {"length": self.length, "bucket": self.bucket, "hop": self.hop}
