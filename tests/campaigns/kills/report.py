"""What kill campaigns did and found: a row each, kept as JSON lines, and the tables of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson

COLUMNS = (
    "setting",
    "seed",
    "kills",
    "died by itself",
    "events",
    "lines repeated",
    "in the log twice",
    "agents",
    "runs",
    "run again",
    "count differences",
    "run differences",
    "minutes",
    "code of",
)
MOMENTS = ("any", "claim", "append", "cursor", "checkpoint", "attributions", "commit")


@dataclass
class Report:
    """What a campaign did and found."""

    setting: str
    seed: int
    seconds: float = 0.0
    code: str = ""
    """When the code was committed that ran."""
    kills: Counter[str] = field(default_factory=Counter)
    """By `victim: moment`."""
    restarts: int = 0
    """Lives that ended by themselves, and were begun again."""
    events: int = 0
    agents: int = 0
    runs: int = 0
    reruns: int = 0
    manners: Counter[str] = field(default_factory=Counter)
    log: Counter[str] = field(default_factory=Counter)
    count_differences: int = 0
    run_differences: int = 0
    deaths: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether nothing differed."""
        return self.count_differences == self.run_differences == 0

    @property
    def row(self) -> list[str]:
        """Its row, as `COLUMNS` head it."""
        numbers = [self.kills.total(), self.restarts, self.events, self.manners["repeated"], self.log["twice"]]
        numbers += [self.agents, self.runs, self.reruns, self.count_differences, self.run_differences]
        minutes = f"{self.seconds / 60:.1f}"
        return [self.setting, str(self.seed), *(f"{number:,}" for number in numbers), minutes, self.code]


def read(path: Path) -> list[Report]:
    """Return the reports of a file of JSON lines."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [_report(orjson.loads(line)) for line in lines]


def _report(told: dict[str, object]) -> Report:
    counters = {name: Counter(told[name]) for name in ("kills", "manners", "log")}  # type: ignore[call-overload]
    return Report(**(told | counters))  # type: ignore[arg-type]


def add(path: Path, report: Report) -> None:
    """Append a report to a file of JSON lines; what the dying said of themselves is not kept."""
    told = {name: value for name, value in vars(report).items() if name != "deaths"}
    with path.open("ab") as file:
        file.write(orjson.dumps(told) + b"\n")


def tables(reports: list[Report]) -> str:
    """Return the reports as Markdown: a row each, and who was killed when."""
    total = Counter[str]()
    for one in reports:
        total.update(one.kills)
    victims = sorted({kind.partition(": ")[0] for kind in total})
    summed = [f"**{len(reports)}**", "", f"**{total.total():,}**", *[""] * (len(COLUMNS) - 3)]
    kills = [[victim, *(str(total[f"{victim}: {moment}"] or "") for moment in MOMENTS)] for victim in victims]
    return (
        _table(COLUMNS, [*(one.row for one in reports), summed])
        + "\nKills by victim and moment; `any` is by the clock, the others inside that step.\n\n"
        + _table(("victim", *MOMENTS), kills)
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(head)
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
