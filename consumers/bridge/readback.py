"""Reads the log's tail back, so that a bridge whose turn begins knows what is there already.

What does not count, for its writer's turn was over, is not there: it is passed over by the rule of the fold.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from consumers.bridge.cursors import Waypoint
from consumers.bridge.identity import Memory, read_event
from consumers.bridge.tenure import Tenure, read_claim
from consumers.events import is_monotonic
from consumers.log import Log

TAIL = 20_000
"""Records of each partition that are read back where no place was saved."""

_MARGIN = 1_000_000
"""Seqs that are times step back by some ms: so much is read again, and dropped as repeats."""

_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(slots=True)
class Tail:
    """What the tail said: the greatest time of all, and the least and greatest seq of one source by partition."""

    tenure: Tenure
    t: int | None = None
    seqs: dict[int, tuple[int, int]] = field(default_factory=dict)
    events: int = 0
    partitions: int = 0
    cut: set[int] = field(default_factory=set)
    """The partitions that hold more than was read."""
    epochs: dict[tuple[int, str], int] = field(default_factory=dict)
    """The newest epoch of each source in each partition, as far as it was read."""
    rival: int = 0
    """The greatest epoch in which another bridge wrote this source, or claimed it."""
    superseded: int = 0
    """Events that do not count: when they came, a newer bridge had claimed their source."""

    def cursor(self) -> int | None:
        """Return a cursor from which nothing is missed, None where the source's seq is no cursor or none is there.

        An append that was cut short may have reached some partitions and not others, hence the least of them; not
        all events of one seq, hence the one before; and not some partitions at all, hence from as far back as every
        tail goes. No further: what comes again must be known to be dropped.
        """
        src = self.tenure.name
        if not self.seqs or ":file:" in src:
            return None
        known = [least for partition, (least, _) in self.seqs.items() if partition in self.cut]
        floor = max(known) if known else min(least for least, _ in self.seqs.values())
        if len(self.seqs) == self.partitions:
            floor = max(floor, min(greatest for _, greatest in self.seqs.values()))
        return max(0, floor - (1 if is_monotonic(src) else _MARGIN))


async def tail_of(log: Log, topic: str) -> Waypoint:
    """Return from where on the log is read back where no place was saved."""
    ends = await log.end_offsets(topic)
    return Waypoint(0, {partition: max(0, end - TAIL) for partition, end in ends.items()})


async def claim_and_read_back(
    log: Log, topic: str, place: Waypoint, memory: Memory, tenure: Tenure, *, after: int, now: Callable[[], int]
) -> Tail:
    """Claim the source in an epoch after any before; return the log's tail from a place on, as it is then."""
    epoch = max(now(), after + 1)
    while True:
        await tenure.claim(epoch)
        tail = await read_back(log, topic, place, memory, tenure)
        if tail.rival < epoch:
            return tail
        epoch = max(now(), tail.rival + 1)


async def read_back(log: Log, topic: str, place: Waypoint, memory: Memory, tenure: Tenure) -> Tail:
    """Fill the memory with the events that count from a place to the log's end, as it is when this is called."""
    begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
    starts = {
        partition: min(max(place.offsets.get(partition, 0), begins[partition]), ends[partition]) for partition in ends
    }
    tail = Tail(
        tenure,
        partitions=len(ends),
        cut={partition for partition, start in starts.items() if start > begins[partition]},
        epochs={(partition, own): place.epoch for partition in ends for own in tenure.srcs},
    )
    reader = await log.reader(topic, starts)
    try:
        while any(max(reader.positions[partition], begins[partition]) < ends[partition] for partition in ends):
            for chunk in await reader.poll(max_records=10_000):
                for value in chunk.values:
                    _note(value, chunk.partition, memory, tail)
            memory.commit()
            begins = await log.begin_offsets(topic)
    finally:
        await reader.close()
    return tail


def _note(value: bytes | None, partition: int, memory: Memory, tail: Tail) -> None:
    try:
        record = orjson.loads(value)  # type: ignore[arg-type]  # None is refused, and passed over
        if record["kind"] == "bridge":
            srcs, epoch = read_claim(record)
            ours = record.get("holder") == tail.tenure.holder
            for src in srcs:
                _reach(tail, partition, src, epoch, ours=ours)
            return
        event = read_event(record)
        if event.epoch < tail.epochs.get((partition, event.src), 0):
            tail.superseded += 1
            return
        memory.note(event)
    except _UNREADABLE:
        return
    _reach(tail, partition, event.src, event.epoch)  # its claim came before it, perhaps before what is read
    tail.events += 1
    tail.t = event.t if tail.t is None else max(tail.t, event.t)
    if event.src == tail.tenure.name:
        least, greatest = tail.seqs.get(partition, (event.seq, event.seq))
        tail.seqs[partition] = (min(least, event.seq), max(greatest, event.seq))


def _reach(tail: Tail, partition: int, src: str, epoch: int, *, ours: bool = False) -> None:
    """Note that from here on a source's events count from this epoch on, unless a newer one was there."""
    tail.epochs[partition, src] = max(epoch, tail.epochs.get((partition, src), 0))
    if src in tail.tenure.srcs and not ours:
        tail.rival = max(tail.rival, epoch)
