"""The windows of one partition: the sums of the current and the preceding one, and the buckets they are made of.

`head` is the first bucket that is not closed. The current window is [head - n, head), the preceding one
[head - 2n, head - n). All sums are integers, so that what enters leaves again without a trace and order does not
matter. Memory is bounded by the agents seen in the buckets held: an agent in none of them loses its slot.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumers.windows.delta import WIDTH, Delta, Ints
from consumers.windows.names import packed, unpacked
from consumers.windows.shape import Shape
from consumers.windows.slots import Slots

CURRENT, PRECEDING, OUT = 0, 1, 2


class State:
    """Who did what in the two windows, int64 [slot, column], and per bucket. Knows nothing of events or clocks."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.head: int | None = None
        self.slots = Slots()
        self.deltas: dict[int, Delta] = {}
        self.evicted = 0
        self._sums = [self._zeros(), self._zeros()]
        self._last = np.zeros(self.slots.capacity, np.int64)

    @property
    def current(self) -> Ints:
        """The current window, int64 [slot, column]."""
        return self._sums[CURRENT]

    @property
    def preceding(self) -> Ints:
        """The preceding window, int64 [slot, column]."""
        return self._sums[PRECEDING]

    def _zeros(self) -> Ints:
        return np.zeros((self.slots.capacity, WIDTH), np.int64)

    def _make_room(self) -> None:
        """Follow the slots' growth."""
        before = len(self._last)
        if before == self.slots.capacity:
            return
        for index, sums in enumerate(self._sums):
            self._sums[index] = self._zeros()
            self._sums[index][:before] = sums
        last = np.zeros(self.slots.capacity, np.int64)
        last[:before] = self._last
        self._last = last

    def zone(self, bucket: int, head: int) -> int | None:
        """Return which window holds a bucket when `head` is the first open one: None for an open bucket."""
        if bucket >= head:
            return None
        age = head - 1 - bucket
        n = self.shape.buckets
        return CURRENT if age < n else PRECEDING if age < 2 * n else OUT

    def add(self, bucket: int, cells: Ints, amounts: Ints) -> None:
        """Count in a bucket, and where it is closed in the window that holds it, for the closes to come."""
        self._make_room()
        delta = self.deltas.get(bucket)
        if delta is None:
            delta = self.deltas[bucket] = Delta()
        delta.add(cells, amounts)
        slots = cells // WIDTH
        self._last[slots] = np.maximum(self._last[slots], bucket)
        zone = None if self.head is None else self.zone(bucket, self.head)
        if zone is not None:
            np.add.at(self._sums[zone].reshape(-1), cells, amounts)

    def advance(self, head: int) -> None:
        """Close the buckets before `head`: they enter the current window, older ones move on or expire."""
        before = head if self.head is None else self.head
        if head < before:
            raise ValueError(f"the windows are at bucket {before} and cannot go back to {head}")
        self._make_room()
        expired = []
        for bucket, delta in self.deltas.items():
            old = None if self.head is None else self.zone(bucket, before)
            new = self.zone(bucket, head)
            if old == new:
                continue
            delta.settle()
            if old is not None:
                self._sums[old].reshape(-1)[delta.cells] -= delta.amounts
            if new == OUT:
                expired.append(bucket)
            elif new is not None:
                self._sums[new].reshape(-1)[delta.cells] += delta.amounts
        self.head = head
        for bucket in sorted(expired):
            self._expire(bucket)

    def _expire(self, bucket: int) -> None:
        """Drop the oldest bucket, and the agents whom no younger one knows."""
        slots = self.deltas.pop(bucket).slots()
        for slot in slots[self._last[slots] <= bucket].tolist():
            self.slots.free(slot)
            self.evicted += 1

    def erase(self, agent: str) -> None:
        """Forget an agent at once, in both windows and every bucket."""
        slot = self.slots.of.get(agent)
        if slot is None:
            return
        self._make_room()
        for sums in self._sums:
            sums[slot] = 0
        for delta in self.deltas.values():
            delta.erase(slot)
        self._last[slot] = 0
        self.slots.free(slot)

    def dump(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that `load` makes the same state of; the sums follow from the buckets."""
        slots = self.slots.by_name()
        names, lengths = packed(self.slots.names[slots].tolist())
        buckets = sorted(self.deltas)
        for bucket in buckets:
            self.deltas[bucket].settle()
        held = [self.deltas[bucket] for bucket in buckets]
        empty = [np.empty(0, np.int32)]
        return {
            "slots": slots,
            "names": names,
            "name_lengths": lengths,
            "buckets": np.array(buckets, np.int64),
            "bucket_cells": np.array([delta.cells.size for delta in held], np.int64),
            "cells": np.concatenate(empty + [delta.cells for delta in held]),
            "amounts": np.concatenate(empty + [delta.amounts for delta in held]),
        }

    def load(self, arrays: dict[str, NDArray[np.generic]], head: int | None) -> None:
        """Take over what `dump` gave, into an empty state. Raises ValueError where the arrays contradict each other."""
        names = unpacked(arrays["names"], arrays["name_lengths"])
        self.slots.restore(arrays["slots"].astype(np.int64), names)
        self._make_room()
        ends = [0, *np.cumsum(arrays["bucket_cells"]).tolist()]
        cells: NDArray[Any] = arrays["cells"]
        amounts: NDArray[Any] = arrays["amounts"]
        if not ends[-1] == cells.size == amounts.size:
            raise ValueError("the buckets and their cells are not of one length")
        for bucket, (first, last) in zip(arrays["buckets"].tolist(), pairwise(ends), strict=True):
            own = cells[first:last].copy()
            self.deltas[bucket] = Delta(own, amounts[first:last].copy())
            self._last[own // WIDTH] = bucket
        if head is not None:
            self.advance(head)
