"""`starlingd simulate`: a synthetic population with known culprits, as Jetstream v1 lines or straight into a log."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, get_args

import click
import orjson
from rich.console import Console
from rich.progress import Progress

from consumers.durations import DurationError, parse_duration
from consumers.sources.simulator import START, Phenomenon, SimulatedSource, default_plant
from daemon.outputs import check_writable, written

PATH = click.Path(path_type=Path)
PHENOMENA: tuple[Phenomenon, ...] = get_args(Phenomenon)

EXAMPLES = """\b
Examples:
  starlingd simulate --accounts 20000 --rate 50 --for 10m > lines.jsonl
  starlingd simulate --accounts 100000 --for 2h --seed 7 --plant cascade,burst \\
    --out lines.jsonl.zst --culprits-out culprits.json
  starlingd simulate --accounts 5000 --rate 20 --speed 10 --for 5m | head
"""

_SECOND_US = 1_000_000
_QUIET_S = 2.0


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
@click.option("--culprits-out", type=PATH, help="A JSON file that says who did what, when, and what must find them.")
def command(
    *,
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
    """
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
    with contextlib.ExitStack() as stack:
        stream = sys.stdout.buffer if out is None else stack.enter_context(written(out))
        named = None if culprits_out is None else stack.enter_context(written(culprits_out))
        asyncio.run(_write(source, stream, stack.enter_context(_progress(source))))
        if named is not None:
            named.write(_told(source))


async def _write(source: SimulatedSource, stream: IO[bytes], tell: Callable[[int], None]) -> None:
    """Write every line; stop quietly when whoever reads stdout has had enough."""
    try:
        async for piece in source.slices():
            stream.write(b"\n".join(piece.lines) + b"\n")
            if source.speed is not None:
                stream.flush()
            tell(int(piece.moments[-1]))
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _progress(source: SimulatedSource) -> Iterator[Callable[[int], None]]:
    """Yield what is told each moment reached; it shows a bar on a terminal once the work takes a while."""
    console = Console(stderr=True)
    if not console.is_terminal or source.duration is None:
        yield lambda _moment: None
        return
    began = time.monotonic()
    bar = Progress(console=console, transient=True)
    task = bar.add_task("simulating", total=source.duration)

    def tell(moment: int) -> None:
        if not bar.live.is_started and time.monotonic() - began > _QUIET_S:
            bar.start()
        bar.update(task, completed=(moment - source.start) / _SECOND_US)

    try:
        yield tell
    finally:
        bar.stop()


def _told(source: SimulatedSource) -> bytes:
    """Return who did what as one JSON document."""
    plants = [
        {
            "phenomenon": who.phenomenon,
            "indicator": who.indicator,
            "start": who.start,
            "end": who.end,
            "dids": who.dids,
        }
        for who in source.culprits
    ]
    document = {"accounts": source.accounts, "seed": source.seed, "plants": plants}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
