"""What can go wrong with the embedded log's file, one sentence each; and the lock that keeps it to one writer."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consumers.log import LogError
from consumers.log.packing import DamagedError


@contextmanager
def told(path: str) -> Iterator[None]:
    """Turn what SQLite raises into a LogError of one sentence."""
    try:
        yield
    except (sqlite3.DatabaseError, DamagedError) as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_FULL"):
            advice = "make room on its disk; nothing of the last append was kept"
        elif name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or isinstance(error, DamagedError):
            advice = "the file is damaged or no log, so move it away and start anew or restore it"
        elif name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
            advice = "see that its directory exists and may be written"
        else:
            advice = "see that its disk works"
        raise LogError(f"The log {path} failed ({error}): {advice}.") from error
    except RuntimeError as error:  # an executor that is shut down says it so
        raise LogError(f"The log {path} is closed: open it before use.") from error


def claim(path: str) -> int:
    """Lock the log for this process, until the descriptor returned is closed or the process ends."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LogError(
            f"The log {path} cannot be opened ({error.strerror}): give it a path that may be written."
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise LogError(f"Another process writes the log {path}: stop it, or give this one another path.") from None
    return descriptor
