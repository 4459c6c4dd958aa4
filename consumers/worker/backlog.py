"""What a worker has read of its partitions and not folded yet: bounded, in order, and with how much is still to come.

Nobody else knows how far the log is read: where its partitions begin and end, from where on one is worth waiting for,
and the offset of the first record of each that is not folded.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping

from consumers.log import Chunk, Log, Reader
from consumers.windows.idleness import Idleness
from consumers.windows.meaning import first_time
from consumers.windows.shape import FOREVER, SECOND

_LOOK_EVERY = SECOND


class Backlog:
    """Some partitions of a topic, each read about as far as the others. `now` gives wall-clock µs, where time counts.

    Whatever asks the log raises LogError.
    """

    def __init__(
        self,
        log: Log,
        topic: str,
        partitions: Iterable[int],
        *,
        max_records: int,
        idle_timeout: int,
        now: Callable[[], int] | None,
    ) -> None:
        self.held: dict[int, deque[tuple[Chunk, int]]] = {partition: deque() for partition in partitions}
        """By partition, oldest first: what was read, and from where in it on it is not folded."""
        self.begins: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        """Where all partitions of the topic began and ended when last looked at."""
        self.expected: set[int] = set()
        """The partitions that hold records of which none has come yet."""
        self._log = log
        self._topic = topic
        self._max_records = max_records
        self._idle_timeout = idle_timeout
        self._now = now
        self._lost: dict[int, int] = {}
        self._looked_at = -FOREVER
        self._reader: Reader

    @property
    def partitions(self) -> Collection[int]:
        """Which partitions these are."""
        return self.held.keys()

    async def look(self) -> None:
        """Ask the log where its partitions begin and end."""
        self.begins = await self._log.begin_offsets(self._topic)
        self.ends = await self._log.end_offsets(self._topic)

    async def look_again(self) -> None:
        """Look where it is long ago; without a clock, nothing is expected to change."""
        if self._now and self._now() - self._looked_at >= _LOOK_EVERY:
            await self.look()
            self._looked_at = self._now()

    async def open(self, positions: Mapping[int, int]) -> None:
        """Read from these offsets on."""
        self._reader = await self._log.reader(self._topic, positions)
        self.expected = {partition for partition in positions if not self._at_end(partition)}
        self._idleness = Idleness(self.held, self._idle_timeout, self._clock())

    async def close(self) -> None:
        """Stop reading."""
        await self._reader.close()

    async def poll(self, wait: float) -> int:
        """Read what is there; return how many records came."""
        chunks = await self._reader.poll(max_records=self._max_records, wait=wait, without=self._ahead())
        clock = self._clock()
        for chunk in chunks:
            self._receive(chunk)
            self._idleness.heard(chunk.partition, clock)
            self.expected.discard(chunk.partition)
        return sum(len(chunk.values) for chunk in chunks)

    def hand_on(self, take: Callable[[Chunk, int], int]) -> None:
        """Give each partition's chunks away, oldest first, with the place in each to go on from.

        `take` returns where it stopped: short of a chunk's end, the rest of the partition stays.
        """
        for held in self.held.values():
            while held:
                chunk, start = held[0]
                stop = take(chunk, start)
                if stop < len(chunk.values):
                    held[0] = (chunk, stop)
                    break
                held.popleft()

    def first(self) -> int | None:
        """Return the earliest first event of the partitions, in what is held."""
        firsts = (first_time(chunk.values) for held in self.held.values() for chunk, _ in held)
        return min((t for t in firsts if t is not None), default=None)

    def silent(self, partition: int, clock: int) -> bool:
        """Tell whether a partition is read to its end and has been silent; without a clock, none is."""
        if self._now is None or self.held[partition]:
            return False
        return self._at_end(partition) and self._idleness.idle(partition, clock)

    def read_out(self) -> bool:
        """Tell whether nothing that the log still held, when last looked at, is left to read."""
        return all(self._at_end(partition) for partition in self.held)

    def offsets(self) -> dict[int, int]:
        """Return the offset of the first record of each partition that is not folded."""
        return {
            partition: held[0][0].offsets[held[0][1]] if held else self._reader.positions[partition]
            for partition, held in self.held.items()
        }

    def lags(self) -> dict[int, int]:
        """Return how many records of each partition, of those seen in the log, are not folded."""
        return {
            partition: max(0, self.ends[partition] - max(offset, self.begins[partition]))
            for partition, offset in self.offsets().items()
        }

    def _clock(self) -> int:
        return self._now() if self._now else 0

    def _ahead(self) -> list[int]:
        """Return the partitions of which enough was read until the others are there.

        Read on all alike, those with fewer records would get ahead, and what was read of them would have no bound.
        Where the others have given all that they hold, nothing can be waited for.
        """
        ahead = [
            partition
            for partition, held in self.held.items()
            if sum(len(chunk.values) for chunk, _ in held) >= self._max_records
        ]
        return [] if all(self._at_end(partition) for partition in self.held.keys() - ahead) else ahead

    def _receive(self, chunk: Chunk) -> None:
        """Hold a chunk. A loss with nothing after it waits for the records that say how long it was."""
        lost = self._lost.pop(chunk.partition, 0) + chunk.lost
        if chunk.values:
            chunk.lost = lost
            self.held[chunk.partition].append((chunk, 0))
        elif lost:
            self._lost[chunk.partition] = lost

    def _at_end(self, partition: int) -> bool:
        """Tell whether nothing of a partition that the log still held, when last looked at, is left to read."""
        return max(self._reader.positions[partition], self.begins[partition]) >= self.ends[partition]
