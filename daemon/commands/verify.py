"""`starlingd verify`: hold an indicator, built-in or a user's, against the axioms and known Shapley values."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from engine.verification import Check

EXAMPLES = """\b
Examples:
  starlingd verify polarization
  starlingd verify generosity --permutations 100000     an indicator of an installed package
"""


@click.command(epilog=EXAMPLES)
@click.argument("indicator")
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="Which random crowds to use.")
@click.option(
    "--permutations",
    type=click.IntRange(min=2),
    default=20_000,
    show_default=True,
    help="Orders of joining sampled in each game of 300 agents.",
)
def command(*, indicator: str, seed: int, permutations: int) -> None:
    """Check that INDICATOR can be attributed, and that what is attributed is true.

    Random heavy-tailed crowds are drawn. The path must be smooth and the axioms must hold; where 12 agents play, the
    oceanic method is held against all 4,096 coalitions, and where 300 do, against sampled orders of joining and
    their noise. How far the plain Aumann-Shapley value is from both is said beside.

    Exit 0 when all of it holds, 1 when something does not.
    """
    from engine.registry import get
    from engine.verification import verify

    checks = []
    for check in verify(get(indicator), seed=seed, permutations=permutations):
        checks.append(check)
        click.echo(f"checked {check.baseline or 'the contributions'}: {check.subject}", err=True)
    _show(indicator, checks)
    if not all(check.passed for check in checks):
        raise click.exceptions.Exit(1)


def _show(indicator: str, checks: "list[Check]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{indicator}: {_verdict(checks)}", title_justify="left", show_lines=True)
    for heading in ("", "baseline", "what", "found"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        mark = "[green]holds[/]" if check.passed else "[red]FAILS[/]"
        table.add_row(mark, check.baseline or "", escape(check.subject), escape(check.found))
    Console().print(table)


def _verdict(checks: "list[Check]") -> str:
    failed = sum(not check.passed for check in checks)
    return f"all {len(checks)} checks hold" if not failed else f"{failed} of {len(checks)} checks fail"
