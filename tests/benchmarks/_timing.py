"""Timing in turns, so that a busy moment of the machine meets every peer alike, and what machine it was."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.table import Table

READ = "one read (NumPy max)"
"""The case beside which the others are shown."""


def in_turns(cases: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each case in each round, after one round that warms up and is thrown away."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(rounds + 1):
        for name, case in cases.items():
            started = time.perf_counter()
            case()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def once(case: Callable[[], object]) -> float:
    started = time.perf_counter()
    case()
    return time.perf_counter() - started


def milliseconds(seconds: list[float]) -> str:
    return f"{1e3 * median(seconds):,.1f} ({1e3 * min(seconds):,.1f})"


def in_reads(title: str, seconds: dict[str, list[float]]) -> Table:
    """Show each case in milliseconds, and in reads of the table that is read in `READ`."""
    shown = Table(title=title)
    shown.add_column("what")
    shown.add_column("ms", justify="right")
    shown.add_column("reads", justify="right")
    read, least = median(seconds[READ]), min(seconds[READ])
    for name, taken in seconds.items():
        shown.add_row(name, milliseconds(taken), f"{median(taken) / read:.1f} ({min(taken) / least:.1f})")
    return shown


def machine() -> str:
    """The processor, its cores, the versions, and how busy it was with other work, which no median takes away."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, NumPy {np.__version__}"
    return f"{name}, {os.cpu_count()} cores, {versions}; load {load:.1f} at the end"
