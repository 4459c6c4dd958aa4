"""Folds log records into the windows of one partition, at the speed of one pass over them.

A record that was folded before is dropped: where the source's seq only grows, the greatest (seq, op, rank) folded of
each source tells it. One operation can have up to three events in one partition; their rank, in the order in which
sources give them (actor, target of a reply, other target), keeps them apart. So is what a bridge wrote whose turn was
over, for a newer one had claimed its source: the newer one writes it too.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from consumers.bridge.tenure import read_claim
from consumers.events import GONE, VERSION, is_monotonic
from consumers.gaps import Gaps, read_gap
from consumers.windows.delta import WIDTH
from consumers.windows.entries import by_bucket, entries
from consumers.windows.meaning import COUNTED, LAST_SPOKEN, MALFORMED, OPS, RANKS, status_of
from consumers.windows.shape import FOREVER
from consumers.windows.state import State


@dataclass(slots=True)
class FoldStats:
    """What the fold did. An event is counted in `events` once; `late` and `too_late` are among them."""

    records: int = 0
    events: int = 0
    duplicates: int = 0
    superseded: int = 0
    """Events of a bridge whose turn was over."""
    late: int = 0
    """Counted events that arrived after their bucket's window had closed, those too late for any window included."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Events that reach no window, by reason: `too_late`."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Events that are no action, by kind: retract, account, identity."""
    malformed: int = 0
    erased: int = 0
    lost: int = 0


class Fold:
    """Reads the records of one partition in order; `top` is the greatest time that moved its watermark, or None."""

    def __init__(self, state: State, gaps: Gaps, stats: FoldStats) -> None:
        self.state = state
        self.top: int | None = None
        self.marks: dict[str, int] = {}
        self.epochs: dict[str, int] = {}
        """The newest turn at each source."""
        self.erased: set[str] = set()
        self._gaps = gaps
        self._stats = stats
        self._clear()

    def _clear(self) -> None:
        self._cells: list[int] = []
        self._times: list[int] = []
        self._spoken: list[int] = []
        self._valences: list[float] = []

    def fold(self, values: Sequence[bytes | None], start: int, *, limit: int, ceiling: int = FOREVER) -> int:
        """Fold records from `start` on and return where it stopped.

        It stops after the record whose time reaches `limit`, so that a window holds the same records however they
        were read. Times above `ceiling` do not move the watermark: one clock that is wrong must not close all.
        """
        stop = self._collect(values, start, limit, ceiling)
        self._stats.records += stop - start
        self._flush()
        return stop

    def _collect(  # noqa: C901, PLR0912, PLR0915 - the hot loop: calls in it would cost more than the counting
        self, values: Sequence[bytes | None], start: int, limit: int, ceiling: int
    ) -> int:
        loads, find, take = orjson.loads, self.state.slots.of.get, self.state.slots.take
        marks, epochs = self.marks, self.epochs
        add_cell, add_time = self._cells.append, self._times.append
        closed, oldest = self._bounds()
        top = self.top if self.top is not None else -FOREVER
        if top >= limit:
            return start
        last_src: Any = object()
        monotonic, mark, newest = False, -1, 0
        events = duplicates = superseded = late = too_late = malformed = 0
        index = start
        for index in range(start, len(values)):
            try:
                event = loads(values[index])  # type: ignore[arg-type]  # None, a tombstone, is malformed here
                kind = event["kind"]
                if kind == "gap":
                    if event.get("epoch", 0) >= epochs.get(event["src"], 0):
                        self._gaps.add(read_gap(event))
                    continue
                if kind == "bridge":
                    self._begin_turn(event)
                    newest = epochs.get(last_src, 0)
                    continue
                t, src, role, agent = event["t"], event["src"], event["role"], event["agent"]
                if type(t) is not int or not 0 <= t < FOREVER or type(agent) is not str or event["v"] != VERSION:
                    raise ValueError
                counted = COUNTED[role].get(kind)
                if src != last_src:
                    if monotonic:
                        marks[last_src] = mark
                    last_src, monotonic = src, is_monotonic(src)
                    mark, newest = marks.get(src, -1), epochs.get(src, 0)
                epoch = event.get("epoch", 0)
                if epoch < newest:
                    superseded += 1
                    continue
                if counted is None:
                    status, rank = status_of(event), 0
                else:
                    column, rank = counted
                    valence = event["valence"] if column <= LAST_SPOKEN else None
                    if valence is not None and not -1 <= valence <= 1:
                        raise ValueError
                place = (event["seq"] * OPS + event["op"]) * RANKS + rank
            except MALFORMED:
                malformed += 1
                continue
            if epoch > newest:  # its claim came before it; retention has taken it
                epochs[src] = newest = epoch
            if monotonic:
                if place <= mark:
                    duplicates += 1
                    continue
                mark = place
            events += 1
            if counted is None:
                self._stats.kinds[kind] += 1
                if status in GONE:
                    self._erase(agent)
                    add_cell, add_time = self._cells.append, self._times.append
            elif t < oldest:
                late += 1
                too_late += 1
            else:
                if t < closed:
                    late += 1
                slot = find(agent)
                if slot is None:
                    slot = take(agent)
                if valence is not None:
                    self._spoken.append(len(self._times))
                    self._valences.append(valence)
                add_cell(slot * WIDTH + column)
                add_time(t)
            if top < t <= ceiling:
                top = t
                if t >= limit:
                    break
        stop = index + 1 if start < len(values) else start
        if monotonic:
            marks[last_src] = mark
        if top > -FOREVER:
            self.top = top
        stats = self._stats
        stats.events += events
        stats.duplicates += duplicates
        stats.superseded += superseded
        stats.late += late
        stats.dropped["too_late"] += too_late
        stats.malformed += malformed
        return stop

    def _begin_turn(self, record: dict[str, Any]) -> None:
        """Note that a bridge has claimed sources; a claim that is older than another changes nothing."""
        srcs, epoch = read_claim(record)
        for src in srcs:
            self.epochs[src] = max(epoch, self.epochs.get(src, 0))

    def _bounds(self) -> tuple[int, int]:
        """Return the end of the last closed bucket and the earliest time that a later window holds."""
        shape, head = self.state.shape, self.state.head
        if head is None:
            return -FOREVER, -FOREVER
        return head * shape.bucket, (head + shape.hop_buckets - 2 * shape.buckets) * shape.bucket

    def _erase(self, agent: str) -> None:
        """Forget an account; what it did before in this batch is counted first, so that it goes with the rest."""
        self._flush()
        self.state.erase(agent)
        self.erased.add(agent)
        self._stats.erased += 1

    def _flush(self) -> None:
        """Count what was collected, bucket by bucket."""
        if self._cells:
            buckets, cells, amounts = entries(self._cells, self._times, self._spoken, self._valences, self.state.shape)
            for bucket, some, values in by_bucket(buckets, cells, amounts):
                self.state.add(bucket, some, values)
        self._clear()
