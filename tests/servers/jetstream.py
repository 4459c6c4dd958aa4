"""The real Jetstream v2 on loopback, reading one PDS, where a machine has its program.

No package registry that tests may use has it by name: `STARLINGD_TEST_JETSTREAM` names the program. Its command line is
that of version 0.2 as its source has it; with the program itself this has not been run yet.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.kafka import free_port
from tests.servers.pds import Pds, stop

PROGRAM = "STARLINGD_TEST_JETSTREAM"


class JetstreamMissingError(Exception):
    """There is no Jetstream here; the message says why."""


def program() -> str:
    """Return the path of the program. Raises JetstreamMissingError."""
    path = os.environ.get(PROGRAM)
    if not path:
        raise JetstreamMissingError(
            f"No real Jetstream: the package registries do not have it by name; name its program in {PROGRAM}."
        )
    return path


@contextmanager
def reading(pds: Pds, backfilled: str) -> Iterator[str]:
    """Run a Jetstream that reads a PDS; give the address of its stream.

    It begins with the whole repository of one account, `backfilled`, and streams once it has that.
    """
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="starlingd-jetstream-") as data:
        flags = {
            "addr": address,
            "relay-url": pds.url,
            "plc-url": f"http://127.0.0.1:{pds.plc_port}",
            "data-dir": data,
            "backfill-repos": backfilled,
        }
        command = [program(), "serve", *(f"--{name}={value}" for name, value in flags.items())]
        with (Path(data) / "stderr").open("wb") as told:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told)
        try:
            yield f"ws://{address}"
        finally:
            stop(process)
