"""The simulator by size of the population: time to the first line, lines/s, agent events/s, memory.

Each size runs in a process of its own, at the real network's rate for a million accounts and more. CPU seconds, so
that other work on the machine changes little. Deliveries include decoding and VADER on sentences not yet seen.
"""

import asyncio
import resource
import subprocess
import sys
import time
from itertools import islice

import orjson
from rich.console import Console
from rich.table import Table

from consumers.sources.simulator import SimulatedSource

SIZES = (1_000, 100_000, 3_000_000)
RATE = 345.0
HOURS = 0.5
SETTLED = 20
"""Chunks after which memory is read the first time."""


def source(accounts: int) -> SimulatedSource:
    return SimulatedSource(accounts=accounts, seed=1, rate=RATE, duration=HOURS * 3_600)


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


async def events_of(simulated: SimulatedSource) -> int:
    return sum([len(delivery.events) async for delivery in simulated.deliveries(None)])


def measure(accounts: int) -> dict[str, float]:
    """Return the figures of one size; in a process of its own, for its memory."""
    began = time.process_time()
    chunks = source(accounts).chunks()
    next(chunks)
    first = time.process_time()
    lines = sum(len(chunk.lines) for chunk in islice(chunks, SETTLED))
    settled = megabytes()
    lines += sum(len(chunk.lines) for chunk in chunks)
    generated = time.process_time()
    grown = megabytes() - settled
    events = asyncio.run(events_of(source(accounts)))
    delivered = time.process_time()
    return {
        "first": first - began,
        "lines": lines / (generated - first),
        "events": events / (delivered - generated),
        "memory": settled,
        "grown": grown,
    }


def main() -> None:
    table = Table(title=f"simulating {HOURS:g} h at {RATE:g} operations/s")
    for column in ("accounts", "first line s", "lines/s", "agent events/s", "MB", "MB more at the end"):
        table.add_column(column, justify="right")
    for accounts in SIZES:
        command = [sys.executable, "-m", "tests.benchmarks.simulating", str(accounts)]
        told = orjson.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        table.add_row(
            f"{accounts:,}",
            f"{told['first']:.2f}",
            f"{told['lines']:,.0f}",
            f"{told['events']:,.0f}",
            f"{told['memory']:.0f}",
            f"{told['grown']:.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    print(orjson.dumps(measure(int(sys.argv[1]))).decode())
