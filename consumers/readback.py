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
    """What the tail said: the greatest time of all, and the greatest seq of one source in each partition."""

    t: int | None = None
    seqs: dict[int, int] = field(default_factory=dict)
    events: int = 0

    def cursor(self, src: str) -> int | None:
        """Return a cursor from which nothing is missed, None where the source's seq is no cursor or none is there.

        An append that was cut short may have reached some partitions and not others, hence the least of them; and
        not all events of one seq, hence the one before.
        """
        if not self.seqs or ":file:" in src:
            return None
        least = min(self.seqs.values())
        return max(0, least - (1 if is_monotonic(src) else _MARGIN))


async def read_back(log: Log, topic: str, positions: dict[int, int], memory: Memory, src: str) -> Tail:
    """Fill the memory with the events from some positions to the log's end."""
    begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
    starts = {
        partition: min(max(positions.get(partition, 0), begins[partition]), ends[partition]) for partition in ends
    }
    tail = Tail()
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
        tail.seqs[partition] = max(tail.seqs.get(partition, 0), event.seq)
