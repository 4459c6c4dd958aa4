"""What a kill campaign did and found, and its table."""

from collections import Counter
from dataclasses import dataclass, field

HEAD = """# Kill campaigns

Written by `make kills`; what is killed when, and what it is held to, stands in `kills.py`.
`count differences`: integers, of any agent and column, that are not the recount's in the last window.
`run differences`: run records and published values, of all windows, that are not those of a daemon left in peace.
`died by itself`: lives that ended with an error of their own, for want of a broker, and were begun again.

| setting | seed | kills | died by itself | events | lines repeated | in the log twice | agents | runs | run again |\
 count differences | run differences | minutes |"""


@dataclass
class Report:
    """What a campaign did and found."""

    setting: str
    seed: int
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    """By `victim: moment`."""
    restarts: int = 0
    """Lives that ended by themselves, and were begun again."""
    events: int = 0
    agents: int = 0
    runs: int = 0
    reruns: int = 0
    upstream: Counter[str] = field(default_factory=Counter)
    log: Counter[str] = field(default_factory=Counter)
    count_differences: int = 0
    run_differences: int = 0
    deaths: list[str] = field(default_factory=list)


def table(reports: list[Report]) -> str:
    """Return the reports as Markdown."""
    parts = [
        HEAD,
        "| --- |" + " ---: |" * 12,
    ]
    parts += [
        f"| {one.setting} | {one.seed} | {one.kills.total()} | {one.restarts} | {one.events:,} |"
        f" {one.upstream['repeated']:,} | {one.log['twice']} | {one.agents:,} | {one.runs:,} | {one.reruns} |"
        f" {one.count_differences} | {one.run_differences} | {one.seconds / 60:.1f} |"
        for one in reports
    ]
    parts += ["\n| setting | seed | victim: moment | kills |", "| --- | ---: | --- | ---: |"]
    parts += [
        f"| {one.setting} | {one.seed} | {moment} | {count} |"
        for one in reports
        for moment, count in sorted(one.kills.items())
    ]
    return "\n".join(parts) + "\n"
