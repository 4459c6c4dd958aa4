"""Saving and restoring 1,671,587 agents, as the daemon does, beside copying the same files on the same disk.

`python -m tests.benchmarks checkpointing`; STARLINGD_BENCH_AGENTS sets how many, STARLINGD_BENCH_PLACE where (a
directory or a URL; unset, a temporary directory). The fastest of the rounds: by the clock, and
by the process's own processor time, for the machine may be shared.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from consumers.log import partition_of
from consumers.windows.delta import WIDTH
from consumers.windows.group import Windows
from consumers.windows.shape import Shape
from consumers.worker.checkpoints import Checkpoints
from consumers.worker.saving import Saving
from daemon.runs.carried import Carried
from daemon.runs.recall import Published
from engine.panic import PanicMemory
from tests.populations import names, population

AGENTS = int(os.environ.get("STARLINGD_BENCH_AGENTS", "1671587"))
PLACE = os.environ.get("STARLINGD_BENCH_PLACE")
PARTITIONS = 8
ROUNDS = 3
SHAPE = Shape()
HEAD = 29_719_440
"""The first open bucket: a minute of 2026."""


def windows_of(agents: list[str], homes: np.ndarray) -> Windows:
    """Two windows of an hour: each count of an agent falls into one of their 120 buckets."""
    random = np.random.default_rng(11)
    windows = Windows(SHAPE, range(PARTITIONS))
    windows.origin = 0
    columns = population(len(agents), 3)
    for partition, part in windows.parts.items():
        rows = np.flatnonzero(homes == partition)
        slots = np.array([part.state.slots.take(agents[row]) for row in rows.tolist()], np.int64)
        column, agent = np.nonzero(columns[:, rows])
        cells, amounts = slots[agent] * WIDTH + column, columns[:, rows][column, agent].astype(np.int64)
        buckets = random.integers(HEAD - 2 * SHAPE.buckets, HEAD, len(cells))
        order = np.argsort(buckets, kind="stable")
        cuts = np.flatnonzero(np.diff(buckets[order])) + 1
        for some in np.split(order, cuts):
            part.state.add(int(buckets[some[0]]), cells[some], amounts[some])
    windows._advance(HEAD)
    return windows


def carried_of(agents: list[str], homes: np.ndarray) -> Carried:
    phi = torch.from_numpy(np.random.default_rng(12).normal(size=len(agents)))
    return Carried(Published(agents, homes), agents, homes, {"panic": PanicMemory(0.5, phi)})


def fastest(act: Callable[[], object]) -> tuple[float, float]:
    """Return the least seconds by the clock and by the process's own processor time."""
    taken = []
    for _ in range(ROUNDS):
        clock, processor = time.perf_counter(), time.process_time()
        act()
        taken.append((time.perf_counter() - clock, time.process_time() - processor))
    return min(wall for wall, _ in taken), min(own for _, own in taken)


def copied(place: Path, into: Path) -> None:
    """Copy the newest checkpoint's files, and wait for the disk."""
    for file in max(place.iterdir()).iterdir():
        shutil.copyfile(file, into / file.name)
        descriptor = os.open(into / file.name, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def main() -> None:
    agents = names(AGENTS)
    homes = np.array([partition_of(name.encode(), PARTITIONS) for name in agents], np.int64)
    windows, carried = windows_of(agents, homes), carried_of(agents, homes)
    ends = dict.fromkeys(range(PARTITIONS), 0)
    back: list[Carried] = []
    with tempfile.TemporaryDirectory() as folder:
        place = PLACE or str(Path(folder) / "checkpoints")
        checkpoints = Checkpoints(place, SHAPE.fingerprint())
        saving = Saving(
            checkpoints,
            dump=lambda: carried.dump(range(PARTITIONS)),
            load=lambda images: back.append(Carried.load(images)),
        )
        save = fastest(lambda: saving.save(windows, ends, 0))
        restore = fastest(lambda: saving.restore(SHAPE, ends, range(PARTITIONS)))
        restored = saving.restore(SHAPE, ends, range(PARTITIONS))
        assert restored is not None
        assert restored[0].agents == AGENTS
        assert len(back[-1].agents) == AGENTS
        size = checkpoints.stats.bytes
        table = Table(title=f"{AGENTS:,} agents, {PARTITIONS} partitions, {size / 1e6:.0f} MB")
        for name in ("", "seconds", "of processor", "MB/s"):
            table.add_column(name, justify="right" if name else "left")
        rows = [("save", save), ("restore", restore)]
        if PLACE is None:
            (other := Path(folder) / "copy").mkdir()
            rows.append(("copy of the same files", fastest(lambda: copied(Path(place), other))))
        for name, (seconds, own) in rows:
            table.add_row(name, f"{seconds:.2f}", f"{own:.2f}", f"{size / 1e6 / seconds:.0f}")
    Console(width=100).print(table)
