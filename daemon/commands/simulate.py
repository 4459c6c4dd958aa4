"""`starlingd simulate`: a synthetic population with known culprits, as Jetstream v1 lines or straight into a log."""

import asyncio
import contextlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from consumers.durations import DurationError, parse_duration
from consumers.sources.simulator import START, Phenomenon, SimulatedSource, default_plant
from daemon.commands.options import configured
from daemon.errors import ConfigError
from daemon.offline.outputs import check_writable, written

if TYPE_CHECKING:
    from daemon.config.loading import Loaded

PATH = click.Path(path_type=Path)
PHENOMENA: tuple[Phenomenon, ...] = get_args(Phenomenon)

EXAMPLES = """\b
Examples:
  starlingd simulate --accounts 20000 --rate 50 --for 10m > lines.jsonl
  starlingd simulate --accounts 100000 --for 2h --seed 7 --plant cascade,burst \\
    --out lines.jsonl.zst --culprits-out culprits.json
  starlingd simulate --accounts 5000 --rate 20 --speed 10 --for 5m | head
  starlingd simulate --accounts 50000 --for 2h --log kafka --bootstrap 127.0.0.1:9092
"""

_SECOND_US = 1_000_000


def _duration(_context: click.Context, _parameter: click.Parameter, text: str) -> float:
    try:
        return parse_duration(text) / _SECOND_US
    except DurationError as error:
        raise click.BadParameter(str(error)) from error


def _moment(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int:
    if text is None:
        return START
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a time; write one as 2026-07-04T12:00:00Z") from error
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * _SECOND_US


def _phenomena(_context: click.Context, _parameter: click.Parameter, text: str) -> list[Phenomenon]:
    named = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in named if name not in PHENOMENA]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(PHENOMENA)}")
    return [phenomenon for phenomenon in PHENOMENA if phenomenon in named]


@click.command(epilog=EXAMPLES)
@click.option("--accounts", type=int, default=10_000, show_default=True, help="How many there are: 100 to 10,000,000.")
@click.option(
    "--for", "lasting", default="1h", show_default=True, callback=_duration, help="Simulated time, as 90s or 2h."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option("--rate", type=float, help="Operations a simulated second.  [default: as so many accounts really do]")
@click.option("--start", callback=_moment, metavar="TIME", help="When it begins.  [default: 2026-07-04T12:00:00Z]")
@click.option("--speed", type=float, help="Multiple of real time.  [default: as fast as possible]")
@click.option("--plant", "phenomena", default="", callback=_phenomena, help=f"Any of {','.join(PHENOMENA)}.")
@click.option("--out", type=PATH, help="A file for the lines, compressed if it ends in .gz or .zst.  [default: stdout]")
@configured(("--log", "--bootstrap", "--state-dir"))
@click.option("--culprits-out", type=PATH, help="A JSON file that says who did what, when, and what must find them.")
def command(
    *,
    loaded: "Loaded",
    accounts: int,
    lasting: float,
    seed: int,
    rate: float | None,
    start: int,
    speed: float | None,
    phenomena: list[Phenomenon],
    out: Path | None,
    culprits_out: Path | None,
) -> None:
    """Simulate a network of accounts that post, like, repost, reply, quote, follow, delete, come and leave.

    Activity and attention are heavy-tailed and delays long, as on the real network. Planted phenomena have known
    culprits: a cascade of reposts, a polarizing camp, a coordinated burst.

    Lines are Jetstream v1 JSON, on stdout unless --out or --log says otherwise. With --log the agent events go into
    the log of the configuration, as `starlingd run` would write them.
    """
    into_log = loaded.origins.get(("log", "kind")) == "--log"
    if into_log and out is not None:
        raise ConfigError("--out and --log are both given; the simulation goes to one of them")
    for path in (out, culprits_out):
        if path is not None:
            check_writable(path)
    source = SimulatedSource(
        accounts=accounts,
        seed=seed,
        start=start,
        rate=rate,
        speed=speed,
        duration=lasting,
        plants=[default_plant(phenomenon, accounts, lasting) for phenomenon in phenomena],
    )
    from daemon.offline.simulating import append_events, culprits_document, progress, write_lines
    from daemon.service.logging import configure

    configure(loaded.config.logging)
    stdout = sys.stdout.buffer
    with contextlib.ExitStack() as stack:
        stream = stdout if out is None else stack.enter_context(written(out))
        named = None if culprits_out is None else stack.enter_context(written(culprits_out))
        tell = stack.enter_context(progress(source))
        if into_log:
            stdout.write(asyncio.run(append_events(source, loaded.config, tell)))
        else:
            asyncio.run(write_lines(source, stream, tell))
        if named is not None:
            named.write(culprits_document(source))
