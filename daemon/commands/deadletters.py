"""`starlingd deadletters`: what could not be read, and reading it again once it can be."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from daemon.commands.options import configured
from daemon.commands.run import read_duration
from daemon.config.loading import Loaded
from daemon.runs.pseudonyms import pseudonyms_of
from daemon.service.status import moment

PATH = click.Path(path_type=Path, exists=True, dir_okay=False)
LOG_FLAGS = ("--log", "--bootstrap", "--state-dir")

EXAMPLES = """\b
Examples:
  starlingd deadletters list                                what lies in the embedded log
  starlingd deadletters list --reason not_cbor --json | wc -l
  starlingd deadletters retry                               after an update, with the bridge stopped
  starlingd deadletters retry --file monday.jsonl.gz        of a recording, which is read again
"""


def _choosing(function: Any) -> Any:
    """Give a command the options by which letters are chosen."""
    function = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for scripts.")(function)
    return click.option("--reason", metavar="NAME", help="Only letters of this reason.")(function)


@click.group(epilog=EXAMPLES)
def command() -> None:
    """List what could not be read, or try it again.

    A dead letter says reason, source, place, size and time. It holds no bytes of what was refused, which may be
    someone's text: to try it again, the source is asked once more.
    """


@command.command(name="list", epilog=EXAMPLES)
@configured(LOG_FLAGS)
@_choosing
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many.")
def list_(*, loaded: Loaded, reason: str | None, as_json: bool, limit: int) -> None:
    """Show the letters that no retry has settled, oldest first. Reads only; the daemon may be running."""
    from daemon.offline.mending import listed

    chosen = asyncio.run(listed(loaded.config, reason, limit))
    if as_json:
        for letter in chosen.letters:
            click.echo(orjson.dumps(asdict(letter)))
        return
    table = Table("met", "reason", "where", "bytes", box=None, header_style="dim", pad_edge=False)
    for letter in chosen.letters:
        table.add_row((moment(letter.t) or "")[:19], letter.reason, letter.where, f"{letter.size:,}")
    console = Console(soft_wrap=True, highlight=False)
    if chosen.letters:
        console.print(table)
    reasons = ", ".join(f"{count:,} {name}" for name, count in chosen.reasons.most_common())
    console.print(f"{len(chosen.letters):,} shown of {chosen.total:,} open{f': {reasons}' if reasons else ''}.")


@command.command(epilog=EXAMPLES)
@configured((*LOG_FLAGS, "--hosts"))
@_choosing
@click.option("--limit", type=click.IntRange(min=1), help="The newest so many.  [default: all]")
@click.option("--file", "files", type=PATH, multiple=True, help="A recording, found by its name; repeatable.")
@click.option(
    "--patience", default="30s", show_default=True, callback=read_duration, metavar="DURATION", help="Wait for a host."
)
def retry(
    *,
    loaded: Loaded,
    reason: str | None,
    as_json: bool,
    limit: int | None,
    files: tuple[Path, ...],
    patience: float,
) -> None:
    """Read the places of letters again: a recording from its file, a live host as long as it keeps them.

    What can be read now is appended to the events, unless the log holds it, and counts in the windows that still
    hold its time; its letter is settled. What cannot stays. The bridge must be stopped meanwhile: with the embedded
    log and with one state directory that is seen to, elsewhere it is yours to see to.

    Exit 0 when no letter is left, 1 when some stay.
    """
    from consumers.bridge.retrying import MEANING, SETTLED
    from daemon.offline.mending import retried
    from daemon.service.logging import configure

    pseudonyms = pseudonyms_of(loaded.config.publish)
    configure(loaded.config.logging, cover=pseudonyms.cover if pseudonyms else None)
    report = asyncio.run(retried(loaded.config, reason, limit, files, patience))
    if as_json:
        for letter, outcome in report.outcomes.items():
            click.echo(orjson.dumps({**asdict(letter), "outcome": outcome}))
    else:
        for outcome, count in report.counts.most_common():
            click.echo(f"{count:,} {outcome}: {MEANING[outcome]}")
        tried = len(report.outcomes)
        click.echo(f"{tried:,} letter{'' if tried == 1 else 's'} tried, {report.events:,} agent events appended.")
    if any(outcome not in SETTLED for outcome in report.counts):
        raise click.exceptions.Exit(1)
