"""Reads the log's tail back, so that a bridge that starts knows what is there already."""

from dataclasses import dataclass, field

import orjson

from consumers.events import is_monotonic
from consumers.identity import Memory, read_event
from consumers.log import Log

TAIL = 20_000
"""Records of each partition that are read back where no place was saved."""

_MARGIN = 1_000_000
"""Seqs that are times step back by some ms: so much is read again, and dropped as repeats."""

_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(slots=True)
class Tail:
    """What the tail said: the greatest time of all, and the least and greatest seq of one source by partition."""

    t: int | None = None
    seqs: dict[int, tuple[int, int]] = field(default_factory=dict)
    events: int = 0
    partitions: int = 0
    cut: set[int] = field(default_factory=set)
    """The partitions that hold more than was read."""

    def cursor(self, src: str) -> int | None:
        """Return a cursor from which nothing is missed, None where the source's seq is no cursor or none is there.

        An append that was cut short may have reached some partitions and not others, hence the least of them; not
        all events of one seq, hence the one before; and not some partitions at all, hence from as far back as every
        tail goes. No further: what comes again must be known to be dropped.
        """
        if not self.seqs or ":file:" in src:
            return None
        known = [least for partition, (least, _) in self.seqs.items() if partition in self.cut]
        floor = max(known) if known else min(least for least, _ in self.seqs.values())
        if len(self.seqs) == self.partitions:
            floor = max(floor, min(greatest for _, greatest in self.seqs.values()))
        return max(0, floor - (1 if is_monotonic(src) else _MARGIN))


async def read_back(log: Log, topic: str, positions: dict[int, int], memory: Memory, src: str) -> Tail:
    """Fill the memory with the events from some positions to the log's end."""
    begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
    starts = {
        partition: min(max(positions.get(partition, 0), begins[partition]), ends[partition]) for partition in ends
    }
    tail = Tail(
        partitions=len(ends), cut={partition for partition, start in starts.items() if start > begins[partition]}
    )
    reader = await log.reader(topic, starts)
    try:
        while any(max(reader.positions[partition], begins[partition]) < ends[partition] for partition in ends):
            for chunk in await reader.poll(max_records=10_000):
                for value in chunk.values:
                    _note(value, chunk.partition, memory, src, tail)
            memory.commit()
            begins = await log.begin_offsets(topic)
    finally:
        await reader.close()
    return tail


def _note(value: bytes | None, partition: int, memory: Memory, src: str, tail: Tail) -> None:
    try:
        event = read_event(orjson.loads(value))  # type: ignore[arg-type]  # None is refused, and passed over
        memory.note(event)
    except _UNREADABLE:
        return
    tail.events += 1
    tail.t = event.t if tail.t is None else max(tail.t, event.t)
    if event.src == src:
        least, greatest = tail.seqs.get(partition, (event.seq, event.seq))
        tail.seqs[partition] = (min(least, event.seq), max(greatest, event.seq))
