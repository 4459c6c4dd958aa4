"""A bridge's place between two lives: the cursor, and the trail of where the log was while it came there.

The trail reaches back over all stream time in which repeats are told, so that a bridge that starts knows from where
on the log is to be read back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from consumers.bridge.cursors import CursorFile, Offsets, Position, Waypoint
from consumers.bridge.identity import HORIZON

_TRAIL_STEPS = 8


class StateError(Exception):
    """The bridge's place cannot be saved; the message is one sentence."""


class SavedPlace:
    """The place of one source as the disk has it; without `directory` nothing is saved, as in a replay."""

    def __init__(self, directory: Path | None, src: str) -> None:
        self._file = CursorFile(directory, src) if directory else None
        self._cursor: int | None = None
        self._trail: list[Waypoint] = []

    async def load(self) -> Position:
        """Return what was saved, which knows nothing where nothing of use was."""
        saved = (await asyncio.to_thread(self._file.load) if self._file else None) or Position(None)
        self._cursor, self._trail = saved.cursor, saved.trail
        return saved

    def begin(self, waypoint: Waypoint) -> None:
        """Begin the trail here, unless one was saved."""
        self._trail = self._trail or [waypoint]

    def behind(self, cursor: int | None) -> bool:
        """Tell whether there is something to save."""
        return self._file is not None and cursor != self._cursor

    async def save(self, cursor: int | None, t: int | None, epoch: int, ends: Callable[[], Awaitable[Offsets]]) -> None:
        """Save it durably, with where the log ends where the trail wants to know it. Raises StateError, LogError."""
        assert self._file is not None
        stream = t or 0
        if not self._trail or stream - self._trail[-1].t >= HORIZON // _TRAIL_STEPS:
            self._trail.append(Waypoint(stream, await ends(), epoch))
        while len(self._trail) > 1 and self._trail[1].t <= stream - HORIZON:
            self._trail.pop(0)
        try:
            await asyncio.to_thread(self._file.save, Position(cursor, t, self._trail, epoch))
        except OSError as error:
            raise StateError(
                f"The bridge's place cannot be saved in {self._file.path} ({error.strerror}): make room, or give "
                "another state directory."
            ) from error
        self._cursor = cursor
