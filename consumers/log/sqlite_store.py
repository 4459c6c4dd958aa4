"""The embedded log's file: its tables, and what one thread does to them. Nothing here is asynchronous.

A batch is one row (`consumers.log.packing`); a partition's next offset stands in a row of its own, so that offsets
go on counting when retention has taken everything. Every function that writes is one transaction or none.
"""

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from consumers.log import Entry, LogError, Topic
from consumers.log.grouping import by_partition, size_of
from consumers.log.packing import Packer, Records

APPLICATION_ID = 0x53544C47
VERSION = 1
BATCH_RECORDS = 4_096
BATCH_BYTES = 1 << 20
_CHECKPOINT_PAGES = 4_096

_SCHEMA = f"""
CREATE TABLE topics (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
  partitions INTEGER NOT NULL, retention_ms INTEGER NOT NULL, cleanup TEXT NOT NULL);
CREATE TABLE partitions (
  topic INTEGER NOT NULL, partition INTEGER NOT NULL, begin INTEGER NOT NULL, end INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE batches (
  id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, partition INTEGER NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, t INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX batches_in_order ON batches (topic, partition, last);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""


def connect(path: str, *, writable: bool, synchronous: str = "full") -> sqlite3.Connection:
    """Open the file, create its tables where it is new, and check that it is a log of this version."""
    address = path if path == ":memory:" else Path(path).absolute().as_uri() + ("" if writable else "?mode=ro")
    connection = sqlite3.connect(address, uri=path != ":memory:", isolation_level=None, check_same_thread=False)
    try:
        # Looked at before anything is set: a file that is not ours is left as it was.
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        marks = [connection.execute(f"PRAGMA {mark}").fetchone()[0] for mark in ("application_id", "user_version")]
        ours = marks == [APPLICATION_ID, VERSION] or (writable and not tables)
        if writable and ours:
            connection.execute("PRAGMA page_size = 8192")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            if not tables:
                connection.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
    except BaseException:
        connection.close()
        raise
    if not ours:
        connection.close()
        raise LogError(f"{path} is not a starlingd log of version {VERSION}: give the log another path.")
    return connection


class Store:
    """Topics, partitions and batches of one file, through one connection that one thread uses."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self.connection = connection
        self._path = path
        self.packer = Packer()
        self._ids: dict[str, tuple[int, Topic]] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the body writes, or nothing of it."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def topic(self, name: str) -> tuple[int, Topic]:
        """Return a topic's number in the tables and what it is. Raises LogError where it is absent."""
        if name not in self._ids:
            row = self.connection.execute(
                "SELECT id, partitions, retention_ms, cleanup FROM topics WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                raise LogError(f"Topic {name} is not in the log {self._path}: start the daemon that writes it first.")
            self._ids[name] = (row[0], Topic(name, *row[1:]))
        return self._ids[name]

    def topics(self) -> list[tuple[int, Topic]]:
        """Return every topic of the file."""
        names = [name for (name,) in self.connection.execute("SELECT name FROM topics ORDER BY id")]
        return [self.topic(name) for name in names]

    def ensure(self, topics: Sequence[Topic]) -> None:
        """Create absent topics, take over a changed retention. Raises LogError at other partitions or cleanup."""
        held = {topic.name: topic for _, topic in self.topics()}
        for topic in topics:
            old = held.get(topic.name, topic)
            for what, is_now, asked in (
                ("partitions", old.partitions, topic.partitions),
                ("cleanup", old.cleanup, topic.cleanup),
            ):
                if is_now != asked:
                    raise LogError(
                        f"Topic {topic.name} in the log {self._path} has {what} {is_now}, not {asked}: "
                        f"set {what} to {is_now} or give the log another path."
                    )
        with self.transaction():
            for topic in topics:
                self._write_topic(topic, new=topic.name not in held)
        self._ids.clear()

    def _write_topic(self, topic: Topic, *, new: bool) -> None:
        if not new:
            self.connection.execute(
                "UPDATE topics SET retention_ms = ? WHERE name = ?", (topic.retention_ms, topic.name)
            )
            return
        number = self.connection.execute(
            "INSERT INTO topics (name, partitions, retention_ms, cleanup) VALUES (?, ?, ?, ?)",
            (topic.name, topic.partitions, topic.retention_ms, topic.cleanup),
        ).lastrowid
        rows = [(number, partition) for partition in range(topic.partitions)]
        self.connection.executemany("INSERT INTO partitions VALUES (?, ?, 0, 0)", rows)

    def bounds(self, name: str) -> dict[int, tuple[int, int]]:
        """Return where each partition begins and ends."""
        number, _ = self.topic(name)
        rows = self.connection.execute("SELECT partition, begin, end FROM partitions WHERE topic = ?", (number,))
        return {partition: (begin, end) for partition, begin, end in rows}

    def append(self, name: str, entries: Sequence[Entry], now_ms: int) -> int:
        """Append in one transaction and return the bytes of keys and values."""
        number, topic = self.topic(name)
        groups, size = by_partition(name, topic.partitions, entries)
        with self.transaction():
            for partition, mine in groups.items():
                self._append_partition(number, partition, mine, now_ms)
        return size

    def _append_partition(self, number: int, partition: int, entries: Sequence[Entry], now_ms: int) -> None:
        where = (number, partition)
        end = self.connection.execute("SELECT end FROM partitions WHERE topic = ? AND partition = ?", where).fetchone()[
            0
        ]
        for batch in _cut(entries):
            keys, values = [entry.key for entry in batch], [entry.value for entry in batch]
            records = Records(range(end, end + len(batch)), keys, values)
            self.connection.execute(
                "INSERT INTO batches (topic, partition, first, last, t, body) VALUES (?, ?, ?, ?, ?, ?)",
                (*where, end, end + len(batch) - 1, now_ms, self.packer.pack(records)),
            )
            end += len(batch)
        self.connection.execute("UPDATE partitions SET end = ? WHERE topic = ? AND partition = ?", (end, *where))

    def batches(self, number: int, partition: int, position: int) -> Generator[Records, None, None]:
        """Yield the batches of a partition from the one that holds a position, that one cut to what is at or after it.

        Close the iterator: an unfinished read would keep the write-ahead log from being emptied.
        """
        rows = self.connection.execute(
            "SELECT first, body FROM batches WHERE topic = ? AND partition = ? AND last >= ? ORDER BY last",
            (number, partition, position),
        )
        with closing(rows):
            for first, body in rows:
                yield self.packer.unpack(first, body).since(position)


def _cut(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield pieces small enough that one row is quick to read."""
    piece: list[Entry] = []
    size = 0
    for entry in entries:
        length = size_of(entry)
        if piece and (len(piece) == BATCH_RECORDS or size + length > BATCH_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(entry)
        size += length
    if piece:
        yield piece
