"""`starlingd replay`: recorded events through the whole pipeline, offline and deterministic. A way in for tools."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from consumers.durations import DurationError, parse_duration
from consumers.windows.shape import Shape, WindowError
from daemon.errors import OutputError
from daemon.offline.outputs import check_writable, written

if TYPE_CHECKING:
    from daemon.offline.replaying import Outcome
    from daemon.offline.replaying import Progress as Reached

PATH = click.Path(path_type=Path)

EXAMPLES = """\b
Examples:
  starlingd replay recorded.jsonl.zst
  starlingd replay monday.jsonl.gz tuesday.jsonl.gz --window 1d --bucket 1h --runs-out runs.jsonl
  starlingd replay frames.bin.zst --state-out state.parquet
"""

_QUIET_S = 2.0


def _duration(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    try:
        return parse_duration(text)
    except DurationError as error:
        raise click.BadParameter(str(error)) from error


@click.command(epilog=EXAMPLES)
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@click.option("--window", default="1h", show_default=True, callback=_duration, help="Length of a window: 12·k buckets.")
@click.option("--bucket", default="1m", show_default=True, callback=_duration, help="Width of a bucket.")
@click.option("--state-out", type=PATH, metavar="STATE.parquet", help="The agents of the last complete window.")
@click.option("--runs-out", type=PATH, metavar="RUNS.jsonl", help="The record of each run, a line each.")
def command(
    *, files: tuple[Path, ...], window: int, bucket: int, state_out: Path | None, runs_out: Path | None
) -> None:
    """Replay recordings through bridge, log, windows and engine, one after the other, as one stream.

    A FILE holds Jetstream v1 JSON lines or raw relay frames (each after its length, 4 bytes, little-endian), plain,
    .gz or .zst. What cannot be read in it is counted in `deadletters`. The end closes the bucket of the last event.

    Two replays of the same files write the same bytes. One JSON line on stdout says the counts: `events` are agent
    events counted once, `duplicates` those dropped as repeats, `late` those that came after their window had closed.
    """
    try:
        shape = Shape(length=window, bucket=bucket)
    except WindowError as error:
        raise click.BadParameter(str(error), param_hint="--window") from error
    _check_outputs(files, state_out, runs_out)
    outcome, seconds = _replayed(files, shape, state_out, runs_out)
    click.echo(
        orjson.dumps(
            {
                "frames": outcome.frames,
                "events": outcome.events,
                "duplicates": outcome.duplicates,
                "late": outcome.late,
                "deadletters": outcome.deadletters,
                "agents": len(outcome.agents),
                "runs": outcome.runs,
                "seconds": round(seconds, 3),
            }
        )
    )


def _check_outputs(files: tuple[Path, ...], *outputs: Path | None) -> None:
    """Refuse, before any work is done, outputs that cannot be written or would replace what is read or each other."""
    taken = {path.resolve() for path in files}
    for path in outputs:
        if path is None:
            continue
        check_writable(path)
        if path.resolve() in taken:
            raise OutputError(f"{path} cannot be written: it is also another file of this replay; give it its own name")
        taken.add(path.resolve())


def _replayed(
    files: tuple[Path, ...], shape: Shape, state_out: Path | None, runs_out: Path | None
) -> tuple["Outcome", float]:
    """Open every recording before the first is read, replay them, and write what was asked for.

    The seconds returned are the work's own, with torch in memory.
    """
    from consumers.scoring import load_scorer
    from consumers.sources.recording import RecordedSource
    from daemon.config.outlets import Logging
    from daemon.offline.replaying import replay
    from daemon.offline.tables import write_state
    from daemon.service.logging import configure

    began = time.perf_counter()
    configure(Logging(level="error"), sys.stderr)
    score = load_scorer()
    sources = [RecordedSource(path, score=score) for path in files]
    with contextlib.ExitStack() as stack:
        runs = stack.enter_context(written(runs_out)) if runs_out else None
        told = stack.enter_context(_progress())
        outcome = asyncio.run(replay(sources, shape, runs, told))
        if state_out is not None:
            write_state(state_out, outcome.agents, outcome.columns)
    return outcome, time.perf_counter() - began


@contextlib.contextmanager
def _progress() -> Iterator[Callable[["Reached"], None]]:
    """Yield what is told how far the replay is; on a terminal it shows it once the work takes a while."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _reached: None
        return
    began = time.monotonic()
    bar = Progress(TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True)
    task = bar.add_task("replaying", total=None)

    def tell(reached: "Reached") -> None:
        if not bar.live.is_started and time.monotonic() - began > _QUIET_S:
            bar.start()
        bar.update(
            task, description=f"{reached.frames:,} frames, {reached.events:,} agent events, {reached.runs:,} runs"
        )

    try:
        yield tell
    finally:
        bar.stop()
