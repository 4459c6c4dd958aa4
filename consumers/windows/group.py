"""The windows of all the partitions that one worker holds: they close together, each when every partition is there.

A partition that reached the end of the window to close next is not folded further until that window is closed, so
a window holds the same events however the records were read, and a rerun after a crash gives the same values.
Ranks hold partitions of their own, and close the same windows as one that held all.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumers.gaps import BEFORE_THE_STREAM, SILENCE, Gaps
from consumers.peers import Alone, Peers
from consumers.snapshot import Snapshot
from consumers.sources import Gap
from consumers.windows.fold import Fold, FoldStats
from consumers.windows.shape import FOREVER, Shape
from consumers.windows.snapshot import gather
from consumers.windows.state import State

Image = tuple[dict[str, Any], dict[str, NDArray[np.generic]]]
"""What is saved of one partition: plain values and arrays."""


@dataclass(slots=True, frozen=True)
class _Held:
    """What one rank tells the others before a window closes."""

    burying: bool
    first: int | None
    """The first bucket in which any of its agents did something."""
    active: bool
    """Whether any did in the windows that close next."""
    greatest: int | None
    gaps: tuple[Gap, ...]


class Windows:
    """Current and preceding windows over some partitions of the events topic. Deterministic; reads no clock."""

    def __init__(
        self, shape: Shape, partitions: Collection[int], *, lens: str = "all", peers: Peers | None = None
    ) -> None:
        self.shape = shape
        self.lens = lens
        self.gaps = Gaps()
        self.stats = FoldStats()
        self.head: int | None = None
        """The first bucket that is not closed; None before the first event."""
        self.origin: int | None = None
        """The time from which on the stream is known."""
        self.parts = {partition: Fold(State(shape), self.gaps, self.stats) for partition in sorted(partitions)}
        self._peers: Peers = peers or Alone()
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
        a stretch where nobody did before, are passed over. All ranks close the same window and know the same gaps.
        """
        if self.head is None or watermark < self.limit:
            raise ValueError("no window is due")
        following = self.head + self.shape.hop_buckets
        told = self._peers.exchange(self._held(following))
        for gap in sorted(set[Gap]().union(*(one.gaps for one in told))):
            self.gaps.add(gap)
        burying = any(one.burying for one in told)
        first = min((one.first for one in told if one.first is not None), default=None)
        if burying or (first is not None and first < self.head) or not self._quiet:
            head, active = following, any(one.active for one in told)
        else:
            head = max(following, self._next_active(watermark, first))
            active = first is not None and first < head
        self._advance(head)
        if self._quiet and not active and not burying:
            return None
        greatest = max((one.greatest for one in told if one.greatest is not None), default=None)
        snapshot = self._snapshot(watermark, greatest)
        self._quiet = not any(self._peers.exchange(bool(snapshot.agents)))
        for part in self.parts.values():
            part.erased.clear()
        return snapshot

    def _held(self, head: int) -> "_Held":
        """Return what the others must know to close a window that ends at `head`."""
        buckets = [b for part in self.parts.values() for b, d in part.state.deltas.items() if d.cells.size or d.pending]
        return _Held(
            burying=self.burying,
            first=min(buckets, default=None),
            active=any(head - 2 * self.shape.buckets <= bucket < head for bucket in buckets),
            greatest=self.greatest,
            gaps=tuple(self.gaps.known),
        )

    def _next_active(self, watermark: int, first: int | None) -> int:
        """Return where the next window ends after a stretch in which nobody is active: where somebody is again."""
        passed = self.shape.head_after(watermark - self.shape.lateness) - self.shape.hop_buckets
        return passed if first is None else min(passed, self.shape.head_after(first * self.shape.bucket))

    def _advance(self, head: int) -> None:
        self.head = head
        for part in self.parts.values():
            part.state.advance(head)

    def _snapshot(self, watermark: int, greatest: int | None) -> Snapshot:
        assert self.head is not None
        assert self.origin is not None
        shape = self.shape
        end = self.head * shape.bucket
        start, before = end - shape.length, end - 2 * shape.length
        agents, current, preceding, owners = gather([part.state for part in self.parts.values()])
        self.gaps.forget(before)
        unheard = [Gap(before, max(before, self.origin), BEFORE_THE_STREAM)]
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
        common = {"head": self.head, "origin": self.origin, "quiet": self._quiet}
        gaps = [[gap.start, gap.end, gap.cause] for gap in sorted(self.gaps.known)]
        images = {}
        for partition, part in self.parts.items():
            plain = {
                "top": part.top,
                "marks": part.marks,
                "epochs": part.epochs,
                "erased": sorted(part.erased),
                "gaps": gaps,
            }
            images[partition] = (plain, part.state.dump())
        return common, images

    @classmethod
    def load(
        cls,
        shape: Shape,
        common: Mapping[str, Any],
        images: Mapping[int, Image],
        *,
        lens: str = "all",
        peers: Peers | None = None,
    ) -> "Windows":
        """Continue from what `dump` gave. Raises KeyError, TypeError or ValueError where it is not that."""
        windows = cls(shape, images.keys(), lens=lens, peers=peers)
        windows.head, windows.origin, windows._quiet = common["head"], common["origin"], common["quiet"]
        windows.gaps.known = {Gap(*gap) for plain, _ in images.values() for gap in plain["gaps"]}
        for partition, (plain, arrays) in images.items():
            part = windows.parts[partition]
            part.top, part.marks, part.erased = plain["top"], dict(plain["marks"]), set(plain["erased"])
            part.epochs = dict(plain["epochs"])
            part.state.load(arrays, windows.head)
        return windows
