"""What the embedded log forgets: records past their retention, and what compaction supersedes.

The work is done in steps between appends, each bounded, so that no append waits long for it. Nothing of it needs
to be finished: a pass that a crash cuts short begins again.
"""

from collections.abc import Iterator

from consumers.log.packing import Records
from consumers.log.sqlite_store import Store

_RETENTION_BATCHES = 64
_STEP_RECORDS = 20_000
_LEAST_DIRTY = 10_000
_ENDED = object()


class Upkeep:
    """Retention and compaction of one store, on the store's thread."""

    def __init__(self, store: Store, tombstone_ms: int) -> None:
        self._store = store
        self._tombstone_ms = tombstone_ms
        self._cleaned: dict[tuple[int, int], tuple[int, int]] = {}
        """Per partition: the end of what is compacted, and how many records that left."""
        self._pass: Iterator[None] | None = None

    def step(self, now_ms: int) -> bool:
        """Do a bounded piece of work; tell whether there may be more."""
        self._expire(now_ms)
        if self._pass is None:
            self._pass = self._next_pass(now_ms)
        if self._pass is None:
            return False
        if next(self._pass, _ENDED) is _ENDED:
            self._pass = None
        return True

    def _expire(self, now_ms: int) -> None:
        """Delete the oldest batches of each partition that are past their topic's retention."""
        store = self._store
        for number, topic in store.topics():
            horizon = now_ms - topic.retention_ms
            for partition in range(topic.partitions):
                oldest = store.connection.execute(
                    "SELECT last, t FROM batches WHERE topic = ? AND partition = ? ORDER BY last LIMIT ?",
                    (number, partition, _RETENTION_BATCHES),
                ).fetchall()
                last = -1
                for batch_last, t in oldest:
                    if t >= horizon:
                        break
                    last = batch_last
                if last >= 0:
                    self._delete_through(number, partition, last)

    def _delete_through(self, number: int, partition: int, last: int) -> None:
        store = self._store
        with store.transaction():
            where = (number, partition)
            store.connection.execute(
                "DELETE FROM batches WHERE topic = ? AND partition = ? AND last <= ?", (*where, last)
            )
            store.connection.execute(
                "UPDATE partitions SET begin = ? WHERE topic = ? AND partition = ?", (last + 1, *where)
            )

    def _next_pass(self, now_ms: int) -> Iterator[None] | None:
        """Return a compaction pass over the first partition of which at least half is new since the last."""
        for number, topic in self._store.topics():
            if "compact" not in topic.cleanup:
                continue
            for partition, (begin, end) in self._store.bounds(topic.name).items():
                cleaned, kept = self._cleaned.get((number, partition), (begin, 0))
                if end - max(cleaned, begin) >= max(_LEAST_DIRTY, kept):
                    return self._compact(number, partition, max(cleaned, begin), end, now_ms)
        return None

    def _compact(self, number: int, partition: int, cleaned: int, end: int, now_ms: int) -> Iterator[None]:
        """Keep the newest record of each key below `end`, and no tombstone that every reader has had time to see."""
        newest: dict[bytes, int] = {}
        read = 0
        for row, _ in self._rows(number, partition, cleaned, end):
            records = self._load(row)
            newest.update(zip(records.keys, records.offsets, strict=True))
            read += len(records)
            if read >= _STEP_RECORDS:
                read = 0
                yield
        kept = 0
        for row, t in self._rows(number, partition, 0, end):
            records = self._load(row)
            drop_tombstones = t < now_ms - self._tombstone_ms
            keep = [
                index
                for index, (offset, key, value) in enumerate(
                    zip(records.offsets, records.keys, records.values, strict=True)
                )
                if newest.get(key, offset) == offset and not (value is None and drop_tombstones)
            ]
            kept += len(keep)
            if len(keep) < len(records):
                self._rewrite(row, records, keep)
            read += len(records)
            if read >= _STEP_RECORDS:
                read = 0
                yield
        self._cleaned[number, partition] = (end, kept)

    def _rows(self, number: int, partition: int, start: int, end: int) -> list[tuple[int, int]]:
        """Return id and time of the batches between two offsets."""
        return self._store.connection.execute(
            "SELECT id, t FROM batches WHERE topic = ? AND partition = ? AND last >= ? AND last < ? ORDER BY last",
            (number, partition, start, end),
        ).fetchall()

    def _load(self, row: int) -> Records:
        """Return a batch, empty where retention has taken it meanwhile."""
        found = self._store.connection.execute("SELECT first, body FROM batches WHERE id = ?", (row,)).fetchone()
        if found is None:
            return Records([], [], [])
        return self._store.packer.unpack(*found)

    def _rewrite(self, row: int, records: Records, keep: list[int]) -> None:
        """Thin a batch, or delete it where nothing is left. Its last offset stays, so the order of rows does."""
        store = self._store
        with store.transaction():
            if not keep:
                store.connection.execute("DELETE FROM batches WHERE id = ?", (row,))
                return
            thinned = Records(
                [records.offsets[i] for i in keep], [records.keys[i] for i in keep], [records.values[i] for i in keep]
            )
            store.connection.execute(
                "UPDATE batches SET first = ?, body = ? WHERE id = ?",
                (thinned.offsets[0], store.packer.pack(thinned), row),
            )
