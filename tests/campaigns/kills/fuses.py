"""Fuses: a process that is armed with one kills itself, as kill -9 does, inside a step that must not be half done.

`arm` runs in the process before the daemon's own code. The nth time that the step is taken, it is done in half.
"""

import os
import signal
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

BRIDGE = ("claim", "append", "cursor")
WORKER = ("checkpoint", "attributions", "commit")


def arm(step: str, nth: int) -> None:
    """Arm this process: one of `BRIDGE` or `WORKER`."""
    turns = count(1)

    def due() -> bool:
        return next(turns) == nth

    if step == "cursor":
        _burn_between(Path, "replace", lambda path: path.name.startswith("bridge-") and due())
    elif step == "checkpoint":
        _burn_in_checkpoint(due)
    else:
        _burn_in_append(step, due)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _burn_between(owner: type, name: str, due: Callable[[Any], bool]) -> None:
    """Die before the nth call of a method that is due, with all before it done."""
    original = getattr(owner, name)

    def burning(self: Any, *arguments: Any) -> Any:
        if due(self):
            _die()
        return original(self, *arguments)

    setattr(owner, name, burning)


def _burn_in_checkpoint(due: Callable[[], bool]) -> None:
    """Die with some files of a checkpoint written, and half of another."""
    from consumers.worker import checkpoints

    original = checkpoints._store

    def burning(place: Any, number: int, name: str, pieces: list[Any]) -> Any:
        if due():
            place.write(number, name, [bytes(pieces[0])[: len(pieces[0]) // 2]])
            _die()
        return original(place, number, name, pieces)

    checkpoints._store = burning


def _burn_in_append(step: str, due: Callable[[], bool]) -> None:
    """Die when the log holds some of what was appended and nobody has heard of it."""
    from consumers.log.kafka import KafkaLog
    from consumers.log.sqlite import SqliteLog

    topic_of = {"claim": ".events.v1", "append": ".events.v1", "attributions": ".attributions.v1", "commit": ".runs.v1"}
    for kind in (KafkaLog, SqliteLog):
        kind.append = _burning(kind.append, topic_of[step], due, claims=step == "claim")  # type: ignore[method-assign]


def _burning(original: Any, suffix: str, due: Callable[[], bool], *, claims: bool) -> Any:
    async def append(self: Any, topic: str, entries: Sequence[Any]) -> None:
        meant = bool(entries) and topic.endswith(suffix) and (entries[0].key == b"bridge") == claims
        if meant and due():
            await original(self, topic, entries[: (len(entries) + 1) // 2])
            _die()
        await original(self, topic, entries)

    return append
