"""A live board of the newest runs: indicators, carriers, and what a panel would have said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from daemon.runs.records import Contributor, Measure, Measures, RunRecord, Tier
from daemon.runs.sentences import percent
from daemon.views.figures import change_of, figure, moment, signed, sparkline

TIER_STYLE: dict[Tier, str] = {"head": "bold", "middle": "cyan", "tail": "dim"}
ROWS = 8


@dataclass(slots=True)
class Board:
    """What stands on the board. `runs` are oldest first; `notes` stand beneath, `marks` name known culprits."""

    title: str
    runs: Sequence[RunRecord]
    indicator: str | None = None
    notes: Sequence[str] = ()
    marks: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> RenderableType:
        """Return the board; before the first run, only that it waits."""
        if not self.runs:
            return Panel(Group("Waiting for the first window to close.", *self.notes), title=self.title)
        run = self.runs[-1]
        names = list(run.indicators)
        chosen = self.indicator if self.indicator in names else (names[0] if names else None)
        parts: list[RenderableType] = [_header(run), _indicators(self.runs, chosen)]
        if chosen is not None:
            parts += _carriers(chosen, run.indicators[chosen], self.marks)
        parts += [Text(f"not published: {fault.indicator}: {fault.reason}", style="red") for fault in run.failures]
        if self.notes:
            parts += [Rule(style="dim"), *(Text(note) for note in self.notes)]
        return Panel(Group(*parts), title=self.title, padding=(0, 1))


def next_indicator(run: RunRecord | None, current: str | None) -> str | None:
    """Return the indicator after this one, the first after the last."""
    names = list(run.indicators) if run else []
    if not names:
        return None
    return names[(names.index(current) + 1) % len(names)] if current in names else names[0]


def _header(run: RunRecord) -> Text:
    return Text(
        f"window {moment(run.start)} to {moment(run.end)} UTC   {run.agents:,} accounts   "
        f"coverage {percent(run.coverage.current.fraction)}   engine {1000 * run.timings.get('engine', 0.0):.1f} ms on "
        f"{run.device}   {run.attributions:,} records",
        style="dim",
    )


def _indicators(runs: Sequence[RunRecord], chosen: str | None) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1))
    for heading in ("", "now", "change", "", "head", "middle", "tail", "effective", "residual", "λ error"):
        table.add_column(heading, justify="left" if not heading else "right", header_style="dim", no_wrap=True)
    for name, measures in runs[-1].indicators.items():
        shown = measures.get("neutral") or measures["preceding"]
        table.add_row(
            name,
            figure(shown.value),
            signed(change_of(measures)),
            Text(sparkline(_history(runs, name)), style="cyan"),
            *(percent(shown.tier_shares.get(tier, 0.0)) for tier in TIER_STYLE),
            figure(shown.effective_contributors, 3),
            Text(figure(shown.residual, 2), style="" if shown.ok else "red"),
            figure(shown.lambda_error, 2),
            style="bold" if name == chosen else "",
        )
    return table


def _carriers(name: str, measures: Measures, marks: Mapping[str, str]) -> list[RenderableType]:
    level, change = measures.get("neutral"), measures.get("preceding")
    beside = Table.grid(expand=True, padding=(0, 2))
    beside.add_column(ratio=1)
    beside.add_column(ratio=1)
    beside.add_row(
        _top(f"who carries {name}", level, marks, "its level is not attributed"),
        _top(f"who moved {name}", change, marks, "the window before is not covered yet"),
    )
    shown = level or change
    sentence = shown.scale_gap.sentence if shown else None
    parts: list[RenderableType] = [Rule(style="dim"), beside]
    return [*parts, Rule(style="dim"), Text(sentence, style="italic")] if sentence else parts


def _top(title: str, measure: Measure | None, marks: Mapping[str, str], absent: str) -> RenderableType:
    if measure is None or not measure.ok:
        return Text(f"{title}: {absent if measure is None else 'out of tolerance'}", style="dim")
    table = Table(box=None, expand=True, padding=(0, 1), title=title, title_justify="left", title_style="dim")
    table.add_column("account", no_wrap=True, ratio=1, overflow="ellipsis", header_style="dim")
    for heading in ("tier", "share", "planted"):
        table.add_column(heading if heading != "planted" or marks else "", no_wrap=True, header_style="dim")
    for row in measure.top[:ROWS]:
        table.add_row(*_carrier(row, marks.get(row.agent)))
    return table


def _carrier(row: Contributor, mark: str | None) -> list[RenderableType]:
    style = TIER_STYLE[row.tier]
    return [
        Text(row.agent, style="bold yellow" if mark else ""),
        Text(row.tier, style=style),
        percent(row.share),
        Text(mark or "", style="yellow"),
    ]


def _history(runs: Sequence[RunRecord], name: str) -> list[float]:
    shown = [run.indicators.get(name, {}) for run in runs]
    measures = [measures.get("neutral") or measures.get("preceding") for measures in shown]
    return [measure.value for measure in measures if measure is not None and measure.value is not None]
