"""Reads partitions of one topic of the embedded log, waiting for appends without asking for them again and again."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

from consumers.log import Chunk
from consumers.log.packing import Records
from consumers.log.sqlite_store import Store

if TYPE_CHECKING:
    from consumers.log.sqlite import SqliteLog

_OTHER_PROCESS_SECONDS = 0.1
_NOTHING = Records([], [], [])


class SqliteReader:
    """A reader of the log's own. What a batch holds beyond one poll is kept, decoded, for the next."""

    def __init__(self, log: "SqliteLog", number: int, topic: str, positions: Mapping[int, int]) -> None:
        self._log = log
        self._number = number
        self._topic = topic
        self._positions = dict(positions)
        self._rest: dict[int, Records] = {}
        self._turn = 0

    @property
    def positions(self) -> Mapping[int, int]:
        """The next offset of each partition."""
        return self._positions

    async def poll(self, *, max_records: int = 10_000, wait: float = 0.2, without: Collection[int] = ()) -> list[Chunk]:
        """Return what is there, at most `max_records`, waiting up to `wait` seconds for the first."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            # The event is taken before the look, so that an append between the two is not missed.
            arrival = self._log.arrival(self._topic)
            chunks = await self._log.read(lambda store: self._look(store, max_records, without))
            left = deadline - loop.time()
            if chunks or left <= 0:
                break
            # Another process's appends set no event here: a read-only log looks again.
            patience = min(left, _OTHER_PROCESS_SECONDS) if self._log.read_only else left
            try:
                await asyncio.wait_for(arrival.wait(), patience)
            except TimeoutError:
                continue
        return chunks

    async def close(self) -> None:
        """Stop reading."""
        self._rest.clear()

    def _look(self, store: Store, max_records: int, without: Collection[int]) -> list[Chunk]:
        """Read each partition in turn, beginning with another one each time; what one leaves, the next may take."""
        order = sorted(self._positions.keys() - without)
        order = order[self._turn :] + order[: self._turn]
        self._turn = (self._turn + 1) % max(1, len(order))
        chunks = []
        left = max_records
        for index, partition in enumerate(order):
            share = -(-left // (len(order) - index))
            if share and (chunk := self._look_at(store, partition, share)):
                chunks.append(chunk)
                left -= len(chunk.offsets)
                self._log.stats.lost += chunk.lost
        return chunks

    def _look_at(self, store: Store, partition: int, share: int) -> Chunk | None:
        position = self._positions[partition]
        rest = self._rest.pop(partition, _NOTHING)
        offsets: list[int] = []
        keys: list[bytes | None] = []
        values: list[bytes | None] = []
        after = rest.offsets[-1] + 1 if rest else position
        with closing(store.batches(self._number, partition, after)) as batches:
            for batch in filter(len, chain([rest], batches)):  # a thinned batch may end before its row's last offset
                if offsets and batch.offsets[0] > offsets[-1] + 1 < self._begin(store, partition):
                    self._rest[partition] = batch  # retention ran between two looks: the next chunk says it was lost
                    break
                part, rest = batch.split(share - len(offsets))
                offsets += part.offsets
                keys += part.keys
                values += part.values
                if len(offsets) == share:
                    if rest:
                        self._rest[partition] = rest
                    break
        if not offsets:
            return self._skip_what_is_gone(store, partition, position)
        self._positions[partition] = offsets[-1] + 1
        lost = 0
        if offsets[0] > position:
            lost = max(0, min(self._begin(store, partition), offsets[0]) - position)
        return Chunk(partition, offsets, keys, values, lost)

    def _skip_what_is_gone(self, store: Store, partition: int, position: int) -> Chunk | None:
        """Move to the end where nothing is left before it, and say what of that retention took."""
        begin, end = store.bounds(self._topic)[partition]
        if end == position or self._holds(store, partition, position):
            return None  # an append came between the two looks: the next poll has it
        self._positions[partition] = end
        lost = max(0, begin - position)
        return Chunk(partition, [], [], [], lost) if lost else None

    def _holds(self, store: Store, partition: int, position: int) -> bool:
        with closing(store.batches(self._number, partition, position)) as batches:
            return any(map(len, batches))

    def _begin(self, store: Store, partition: int) -> int:
        return store.bounds(self._topic)[partition][0]
