"""What a soak saw and found, its table and its curves."""

import math
from dataclasses import dataclass, field
from statistics import median

from tests.campaigns.soak.curve import curves
from tests.campaigns.soak.recount import COLUMNS

HEAD = """# Soak

Written by `make soak`; what it does and is held to stands in `soak/campaign.py`, its curves in `soak.svg`.

| | |
| --- | ---: |
"""


@dataclass
class Sample:
    """What was seen at one moment."""

    seconds: float
    mib: float
    """Resident memory."""
    agents: int
    lag: int
    checkpoint_age: float
    watermark: float
    """Hours of stream time."""


@dataclass
class Report:
    """What a soak did and found."""

    events: int = 0
    repeats: int = 0
    agents: int = 0
    runs: int = 0
    count_differences: int = 0
    run_differences: int = 0
    tally_differences: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of the fold's own counters: what they say, and what is right."""
    seconds: float = 0.0
    disk_mib: float = 0.0
    checkpoints: int = 0
    samples: list[Sample] = field(default_factory=list)

    def quarter(self, number: int) -> float:
        """Return the median of the memory in a quarter of the day, from 1; NaN where it went by between two samples."""
        seen = [sample.mib for sample in self.samples if number - 1 < sample.watermark / 6 <= number]
        return median(seen) if seen else math.nan

    @property
    def drift(self) -> float:
        """How much more memory the last quarter takes than the second; NaN where either was not seen."""
        return self.quarter(4) / self.quarter(2) - 1

    @property
    def lag(self) -> int:
        """What is left in the log at the end."""
        return self.samples[-1].lag


def table(report: Report) -> str:
    """Return a report as Markdown."""
    rate, integers = report.events / report.seconds, report.agents * len(COLUMNS)
    most_agents = max(sample.agents for sample in report.samples)
    rows = {
        "events, each counted once": f"{report.events:,}",
        "records appended a second time, none counted": f"{report.repeats:,}",
        "minutes; events a second, with runs and checkpoints": f"{report.seconds / 60:.1f}; {rate:,.0f}",
        "agents in the last window; with a slot at most": f"{report.agents:,}; {most_agents:,}",
        "runs; checkpoints": f"{report.runs}; {report.checkpoints}",
        "integers of the last window that differ from the recount": f"{report.count_differences} of {integers:,}",
        "runs whose number of agents differs from the recount": f"{report.run_differences}",
        "counters of the fold that differ": f"{report.tally_differences or 0}",
        "lag at most; at the end": f"{max(s.lag for s in report.samples):,}; {report.lag}",
        "checkpoint's age at most": f"{max(s.checkpoint_age for s in report.samples):.0f} s",
        "resident memory, median of the second quarter": f"{report.quarter(2):,.0f} MiB",
        "resident memory, median of the last quarter": f"{report.quarter(4):,.0f} MiB, {report.drift:+.1%}",
        "the broker's disk at the end": f"{report.disk_mib:,.0f} MiB",
    }
    return HEAD + "\n".join(f"| {name} | {value} |" for name, value in rows.items()) + "\n"


def plot(report: Report) -> str:
    """Return the curves of a report as an SVG."""
    some = report.samples
    series = {
        "resident memory, MiB": [one.mib for one in some],
        "agents with a slot": [float(one.agents) for one in some],
        "records not folded": [float(one.lag) for one in some],
        "age of the checkpoint, s": [one.checkpoint_age for one in some],
        "stream time, h": [one.watermark for one in some],
    }
    return curves(f"{report.events:,} events", "s", [one.seconds for one in some], series)
