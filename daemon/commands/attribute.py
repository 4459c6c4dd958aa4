"""`starlingd attribute`: one table of agent states in, one table of attributions out. The way in for tools outside."""

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from daemon.errors import TableError

if TYPE_CHECKING:
    import torch

    from daemon.offline.tables import Columns, StateTable
    from engine.fusion import Fusion
    from engine.indicators import Indicator
    from engine.results import Attribution, Method

PATH = click.Path(path_type=Path)

EXAMPLES = """\b
Examples:
  starlingd attribute state.parquet --indicator polarization --out phi.parquet
  starlingd attribute now.parquet --baseline before.parquet --indicator cascade --out moved.parquet
  starlingd attribute state.parquet --indicator attention --method oceanic --out phi.parquet
"""


@click.command(epilog=EXAMPLES)
@click.argument("state", type=PATH, metavar="STATE.parquet")
@click.option("--baseline", type=PATH, metavar="BASE.parquet", help="The state to compare with.  [default: neutral]")
@click.option("--indicator", required=True, metavar="NAME", help="What to attribute; built-in or from an entry point.")
@click.option("--method", type=click.Choice(["aumann-shapley", "oceanic"]), default="aumann-shapley", show_default=True)
@click.option("--device", default="cpu", show_default=True, metavar="DEVICE", help="cpu, cuda or cuda:INDEX.")
@click.option(
    "--compile",
    "fuse",
    is_flag=True,
    help="Compile the sweeps first: some twenty seconds once, before `seconds` begin, to save milliseconds; needs g++.",
)
@click.option("--out", type=PATH, required=True, metavar="OUT.parquet", help="Where the attributions go.")
def command(
    *,
    state: Path,
    baseline: Path | None,
    indicator: str,
    method: "Method",
    device: str,
    fuse: bool,
    out: Path,
) -> None:
    """Attribute one indicator of one population to its agents.

    STATE has a column `agent` (string) and integer columns: posts replies quotes reposts likes follows, replies_in
    quotes_in reposts_in likes_in follows_in, scored valence alarm, phase_00 to phase_11. Absent columns are zeros,
    others are ignored. BASE holds agents by name; who is in only one of the two is all zeros in the other.

    OUT gets `agent` and `phi` for every agent of either table: those of STATE in its order, then the others.
    One JSON line on stdout says the rest; its `seconds` are the engine's alone, with tables and torch in memory.
    Exit 1 when the result misses its tolerance: OUT is then written, and not to be relied on.
    """
    from daemon.offline.outputs import check_writable
    from daemon.offline.tables import align, read_state, write_attribution

    check_writable(out)
    _keep_apart(out, state, baseline)
    table = read_state(state)
    _say_ignored(state, table)
    agents, columns, before = table.agents, table.columns, None
    if baseline is not None:
        preceding = read_state(baseline)
        _say_ignored(baseline, preceding)
        agents, columns, before = align(table, preceding)
    if not len(agents):
        raise TableError(f"{state} has no rows; there is no agent to attribute anything to")
    result, seconds = _attributed(indicator, columns, before, method, device, fuse=fuse)
    write_attribution(out, agents, result.phi.cpu().numpy())
    click.echo(_line(result, seconds))
    if not result.ok:
        click.echo(_shortfall(result, out), err=True)
        raise click.exceptions.Exit(1)


def _line(result: "Attribution", seconds: float) -> str:
    """Write the answer's JSON, whose keys and their order other tools rely on."""
    answer = {
        "indicator": result.indicator,
        "method": result.method,
        "n": len(result.phi),
        "value": result.value,
        "baseline_value": result.baseline_value,
        "sum_phi": result.sum_phi,
        "residual": result.residual,
        "lambda_error": result.lambda_error,
        "seconds": seconds,
    }
    return orjson.dumps(answer).decode()


def _shortfall(result: "Attribution", out: Path) -> str:
    return (
        f"starlingd: {result.indicator} misses its tolerance, with a residual of {result.residual:.1e} and a lambda "
        f"error of {result.lambda_error:.1e}; {out} is written, but do not rely on it"
    )


def _keep_apart(out: Path, *inputs: Path | None) -> None:
    for path in inputs:
        if path is not None and path.exists() and out.exists() and out.samefile(path):
            raise TableError(f"{out} is both read and written; name another file for --out")


def _say_ignored(path: Path, table: "StateTable") -> None:
    if table.ignored:
        click.echo(f"starlingd: {path}: ignored the columns {', '.join(table.ignored)}", err=True)


def _attributed(
    name: str, current: "Columns", before: "Columns | None", method: "Method", device: str, *, fuse: bool
) -> "tuple[Attribution, float]":
    """Return the attribution and the seconds that the engine took for it."""
    import torch

    from engine.attribution import attribute
    from engine.fusion import Fusion
    from engine.registry import get
    from engine.state import State

    indicator, place = get(name), _device(device)
    state = State(torch.from_numpy(current)).to(place)
    baseline = None if before is None else State(torch.from_numpy(before)).to(place)
    fusion = Fusion("on" if fuse else "off", report=lambda reason: click.echo(f"starlingd: {reason}", err=True))
    _warm_up(indicator, method, place, fusion, neutral=baseline is None)
    started = time.perf_counter()
    result = attribute(indicator, state, baseline, method=method, fusion=fusion)
    return result, time.perf_counter() - started


def _device(name: str) -> "torch.device":
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        cause = str(error).splitlines()[0].rstrip(".")
        raise TableError(f"--device {name} cannot be used here: {cause}") from error
    return device


def _warm_up(
    indicator: "Indicator", method: "Method", device: "torch.device", fusion: "Fusion", *, neutral: bool
) -> None:
    """Have torch load autodiff and start its threads and a compiler, seconds that belong to no table, on two agents."""
    import torch

    from engine.attribution import attribute
    from engine.columns import COLUMNS
    from engine.errors import EngineError
    from engine.state import State

    pair = State(torch.ones(len(COLUMNS), 2, dtype=torch.int32, device=device))
    with contextlib.suppress(EngineError):  # what cannot be attributed is said of the caller's table
        attribute(indicator, pair, None if neutral else pair, method=method, fusion=fusion)
