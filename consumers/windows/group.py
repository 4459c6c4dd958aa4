"""The windows of all the partitions that one worker holds: they close together, each when every partition is there.

A partition that reached the end of the window to close next is not folded further until that window is closed, so
a window holds the same events however the records were read, and a rerun after a crash gives the same values.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumers.gaps import BEFORE_THE_STREAM, SILENCE, Gaps
from consumers.snapshot import Snapshot
from consumers.sources import Gap
from consumers.windows.fold import FOREVER, Fold, FoldStats
from consumers.windows.shape import Shape
from consumers.windows.snapshot import gather
from consumers.windows.state import State

Image = tuple[dict[str, Any], dict[str, NDArray[np.generic]]]
"""What is saved of one partition: plain values and arrays."""


class Windows:
    """Current and preceding windows over some partitions of the events topic. Deterministic; reads no clock."""

    def __init__(self, shape: Shape, partitions: Collection[int], *, lens: str = "all") -> None:
        self.shape = shape
        self.lens = lens
        self.gaps = Gaps()
        self.stats = FoldStats()
        self.head: int | None = None
        """The first bucket that is not closed; None before the first event."""
        self.origin: int | None = None
        """The time from which on the stream is known."""
        self.parts = {partition: Fold(State(shape), self.gaps, self.stats) for partition in sorted(partitions)}
        self._quiet = True

    @property
    def tops(self) -> dict[int, int | None]:
        """The greatest time of each partition."""
        return {partition: part.top for partition, part in self.parts.items()}

    @property
    def greatest(self) -> int | None:
        """The greatest time of all."""
        return max((part.top for part in self.parts.values() if part.top is not None), default=None)

    @property
    def agents(self) -> int:
        """How many agents have a slot."""
        return sum(len(part.state.slots) for part in self.parts.values())

    @property
    def evicted(self) -> int:
        """How many agents lost their slot for silence."""
        return sum(part.state.evicted for part in self.parts.values())

    @property
    def burying(self) -> bool:
        """Whether somebody was erased whom the next snapshot is still to name."""
        return any(part.erased for part in self.parts.values())

    @property
    def limit(self) -> int:
        """The watermark that closes the next window."""
        if self.head is None:
            return -FOREVER
        return (self.head + self.shape.hop_buckets) * self.shape.bucket + self.shape.lateness

    def begin(self, t: int) -> None:
        """Start at the first event's time: the first window to close is the one whose last hop holds it."""
        self.origin = t
        self._advance(self.shape.head_after(t) - self.shape.hop_buckets)

    def fold(self, partition: int, values: list[bytes | None], start: int, ceiling: int = FOREVER) -> int:
        """Fold a partition's records up to the end of the next window; return where it stopped."""
        if self.head is None:
            raise ValueError("windows fold nothing before they begin")
        return self.parts[partition].fold(values, start, limit=self.limit, ceiling=ceiling)

    def close(self, watermark: int) -> Snapshot | None:
        """Close the next window, which must be due. Return its snapshot, or None where there is nothing to say.

        When the last agent has left, one snapshot without agents says so; windows in which nobody did anything, in
        a stretch where nobody did before, are passed over.
        """
        if self.head is None or watermark < self.limit:
            raise ValueError("no window is due")
        head = self._next_head(watermark)
        self._advance(head)
        if self._quiet and self._nothing_closed():
            return None
        snapshot = self._snapshot(watermark)
        self._quiet = not snapshot.agents
        for part in self.parts.values():
            part.erased.clear()
        return snapshot

    def _advance(self, head: int) -> None:
        self.head = head
        for part in self.parts.values():
            part.state.advance(head)

    def _nothing_closed(self) -> bool:
        """Tell whether no agent did anything in the windows that are closed, and none waits for its tombstone."""
        head = self.head or 0
        return not any(
            part.erased or any(b < head and (d.cells.size or d.pending) for b, d in part.state.deltas.items())
            for part in self.parts.values()
        )

    def _next_head(self, watermark: int) -> int:
        """Return where the next window ends: after a stretch in which nobody is active, where somebody is again."""
        assert self.head is not None
        following = self.head + self.shape.hop_buckets
        if not (self._quiet and self._nothing_closed()):
            return following
        passed = self.shape.head_after(watermark - self.shape.lateness) - self.shape.hop_buckets
        held = (min(part.state.deltas) for part in self.parts.values() if part.state.deltas)
        first = min(held, default=None)
        if first is not None:
            passed = min(passed, self.shape.head_after(first * self.shape.bucket))
        return max(following, passed)

    def _snapshot(self, watermark: int) -> Snapshot:
        assert self.head is not None
        assert self.origin is not None
        shape = self.shape
        end = self.head * shape.bucket
        start, before = end - shape.length, end - 2 * shape.length
        agents, current, preceding, owners = gather([part.state for part in self.parts.values()])
        self.gaps.forget(before)
        unheard = [Gap(before, max(before, self.origin), BEFORE_THE_STREAM)]
        greatest = self.greatest
        if greatest is not None and end - greatest > shape.idle_timeout:
            unheard.append(Gap(greatest, end, SILENCE))
        earlier = self.gaps.coverage(before, start, unheard)
        known = self.origin <= before and earlier.fraction > 0
        erased = set[str]().union(*(part.erased for part in self.parts.values()))
        return Snapshot(
            lens=self.lens,
            start=start,
            end=end,
            agents=agents,
            partitions=np.array(list(self.parts), np.int64)[owners],
            current=current,
            preceding=preceding if known else None,
            coverage=self.gaps.coverage(start, end, unheard),
            preceding_coverage=earlier,
            watermark=watermark,
            erased=sorted(erased.difference(agents)) if erased else [],
        )

    def dump(self) -> tuple[dict[str, Any], dict[int, Image]]:
        """Return what `load` continues from: what is common, and one image for each partition."""
        common = {
            "head": self.head,
            "origin": self.origin,
            "quiet": self._quiet,
            "gaps": [[gap.start, gap.end, gap.cause] for gap in sorted(self.gaps.known)],
        }
        images = {}
        for partition, part in self.parts.items():
            plain = {"top": part.top, "marks": part.marks, "epochs": part.epochs, "erased": sorted(part.erased)}
            images[partition] = (plain, part.state.dump())
        return common, images

    @classmethod
    def load(cls, shape: Shape, common: Mapping[str, Any], images: Mapping[int, Image], lens: str = "all") -> "Windows":
        """Continue from what `dump` gave. Raises KeyError, TypeError or ValueError where it is not that."""
        windows = cls(shape, images.keys(), lens=lens)
        windows.head, windows.origin, windows._quiet = common["head"], common["origin"], common["quiet"]
        windows.gaps.known = {Gap(*gap) for gap in common["gaps"]}
        for partition, (plain, arrays) in images.items():
            part = windows.parts[partition]
            part.top, part.marks, part.erased = plain["top"], dict(plain["marks"]), set(plain["erased"])
            part.epochs = dict(plain["epochs"])
            part.state.load(arrays, windows.head)
        return windows
