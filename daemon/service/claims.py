"""One daemon per role in a state directory: two bridges would write one cursor, two workers one checkpoint."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from daemon.errors import RefusalError


@contextmanager
def claim(directory: Path, roles: Sequence[str]) -> Iterator[None]:
    """Make the directory and hold its roles until the end; raise RefusalError where another process holds one.

    The kernel lets go of a lock when its process ends, however it ends.
    """
    with ExitStack() as held:
        _take(directory, roles, held)
        yield


def _take(directory: Path, roles: Sequence[str], held: ExitStack) -> None:
    for role in roles:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            held.enter_context(_lock(directory / f"{role}.lock"))
        except BlockingIOError:
            raise RefusalError(
                f"another starlingd has the {role} role in {directory}; stop it, or give this one another --state-dir"
            ) from None
        except OSError as error:
            raise RefusalError(
                f"the state directory {directory} cannot be used ({error.strerror}); give another with --state-dir"
            ) from None


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
