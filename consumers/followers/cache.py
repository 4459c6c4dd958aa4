"""The answers, in memory for whoever asks now and in one SQLite file for the next start.

Memory is changed first and the file after it, on one thread and in the same order, so the two agree. Of an account
that is forgotten nothing stays in the file (`secure_delete`, no write-ahead log). Rows are bounded: the answers that
were asked for longest ago go first.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from consumers.followers import FollowersError

T = TypeVar("T")
UNKNOWN = -1
"""As a number of followers: the server does not know the account, or does not say."""
_APPLICATION = 0x5374466C
"""SQLite's `application_id` of such a file, so that no other is taken for one."""

Answer = tuple[int, int]
"""Followers or UNKNOWN, and when that was asked, Unix seconds."""


class Cache:
    """Answers by account; enter it before use. `answers` may be read from any thread, and is changed only here."""

    def __init__(self, path: Path, *, rows: int) -> None:
        self.path = path
        self.rows = rows
        self.answers: dict[str, Answer] = {}

    async def __aenter__(self) -> Self:
        """Open or make the file and read it whole. Raises FollowersError."""
        self._thread = ThreadPoolExecutor(1, "followers")
        try:
            self.answers = await self.on_thread(self._open)
        except BaseException:
            await asyncio.to_thread(self._thread.shutdown)
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Finish what was begun and close the file."""
        await self.on_thread(self._connection.close)
        await asyncio.to_thread(self._thread.shutdown)

    async def store(self, counts: Mapping[str, int], now: int, *, outdated: int) -> None:
        """Keep answers asked for at `now`; drop those asked for before `outdated`, and the oldest beyond the bound."""
        self.answers.update({did: (count, now) for did, count in counts.items()})
        excess = max(0, len(self.answers) - self.rows)
        rows = [(did, count, now) for did, count in counts.items()]
        for did in await self.on_thread(self._store, rows, outdated, excess):
            self.answers.pop(did, None)

    async def forget(self, dids: Collection[str]) -> None:
        """Return once nothing is known of these accounts any more, here or in the file."""
        for did in dids:
            self.answers.pop(did, None)
        if dids:
            await self.on_thread(self._forget, list(dids))

    async def on_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function on the cache's thread, after what was begun before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _open(self) -> dict[str, Answer]:
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = connection = sqlite3.connect(self.path)
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            if application != _APPLICATION:
                if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                    raise sqlite3.DatabaseError("it is a database of another kind")
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute("PRAGMA secure_delete = ON")
            with connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS followers"
                    " (did TEXT PRIMARY KEY, count INTEGER NOT NULL, asked INTEGER NOT NULL) WITHOUT ROWID"
                )
                connection.execute("CREATE INDEX IF NOT EXISTS by_age ON followers (asked)")
            found = connection.execute("SELECT did, count, asked FROM followers ORDER BY asked DESC")
            return {did: (count, asked) for did, count, asked in found}

    def _store(self, rows: list[tuple[str, int, int]], outdated: int, excess: int) -> list[str]:
        by_age = "DELETE FROM followers WHERE asked < ? RETURNING did"
        oldest = "DELETE FROM followers WHERE did IN (SELECT did FROM followers ORDER BY asked LIMIT ?) RETURNING did"
        with self._told(), self._connection as connection:
            connection.executemany("INSERT OR REPLACE INTO followers VALUES (?, ?, ?)", rows)
            gone: list[tuple[str]] = connection.execute(by_age, (outdated,)).fetchall()
            gone += connection.execute(oldest, (max(0, excess - len(gone)),)).fetchall()
        return [did for (did,) in gone]

    def _forget(self, dids: list[str]) -> None:
        with self._told(), self._connection as connection:
            connection.executemany("DELETE FROM followers WHERE did = ?", ((did,) for did in dids))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what SQLite raises into a sentence."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise FollowersError(
                f"The cache of followers {self.path} failed ({error}): see that its disk has room and that it may be "
                "written; if it is damaged or another's, move it away or set followers.path."
            ) from error
