"""Stream processors of others at the task of the windows: the counts of each agent and minute, by role and kind.

Each is a program beside this, in the form that its documentation gives, one process, durable as it is by default:
Quix Streams and Faust write changelogs, Bytewax keeps nothing. They pin what the project has newer or not at all, so
each has an environment of its own, made once in the user's cache from the list beside its program.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import orjson

PROGRAMS = {"Quix Streams": "quix", "Faust-streaming": "faust", "Bytewax": "bytewax"}
_HERE = Path(__file__).parent
_UV = Path(sys.executable).with_name("uv")

Counts = dict[tuple[str, int, str], int]
"""By agent, start of the minute in ms, and `role kind`."""


class ProcessorError(Exception):
    """One could not be installed or did not come to the end; the message says why."""


def python_of(name: str) -> Path:
    """Return the interpreter of an environment that holds one processor, made where it is absent."""
    needs = _HERE / f"{name}.txt"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "starlingd"
    folder = cache / f"processor-{name}-{crc32(needs.read_bytes()):08x}"
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        _do(_UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
        _do(_UV, "pip", "install", "--quiet", "--python", python, "--requirement", needs)
        (folder / "whole").touch()
    return python


def _do(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProcessorError(done.stderr.strip()[-500:])


def counted_by(name: str, bootstrap: str, topic: str, partitions: int, events: int) -> tuple[float, Counts]:
    """Return the processor seconds that one took for a topic, after its imports, and what it counted."""
    with tempfile.TemporaryDirectory() as place:
        answer = Path(place) / "answer.json"
        program = _HERE / f"with_{name}.py"
        _do(python_of(name), program, bootstrap, topic, str(partitions), str(events), answer)
        told: Mapping = orjson.loads(answer.read_bytes())
    rows = told["counts"]
    return told["seconds"], {(agent, start, kind): n for agent, start, kinds in rows for kind, n in kinds.items()}
