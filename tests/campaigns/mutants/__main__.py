"""Mutation testing of what windows, counting once and checkpoints promise: change the code, and a unit test must fail.

`make mutants` runs mutmut over the modules that pyproject.toml names, one after another, and puts a row for each into
mutants.md in the folder above; `ONLY=consumers/windows/fold.py` does so for one, `SAMPLE=40 SEED=1` for so many of
each, drawn at random: a greater sample holds the lesser. What was killed is not run again while its function stands
as it is; `make clean` forgets it. What survives is to be explained below the table, in the words that this prints it
in, else this ends with exit code 1.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

RESULT = Path(__file__).parents[1] / "mutants.md"
WORKPLACE = Path("mutants")
"""Where mutmut puts its copy of the code, and what it found."""

MUTMUT = Path(sys.executable).with_name("mutmut")
DETECTED = ("killed", "timeout")
CHILDREN = 2
ANY = "consumers.windows.idleness.*"
"""Mutants that are soon run, where all that is wanted is that those of the others are made."""


def modules(only: list[str]) -> Iterator[Path]:
    """Yield the modules that are mutated, or those of them that are asked for."""
    patterns = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["mutmut"]["only_mutate"]
    named = sorted(path for pattern in patterns for path in Path().glob(pattern) if path.name != "__init__.py")
    yield from (path for path in named if not only or str(path) in only)


def read(module: Path) -> dict[str, str]:
    """Return what is known of each mutant of a module."""
    codes = json.loads((WORKPLACE / f"{module}.meta").read_text())["exit_code_by_key"]
    return {name: status_by_exit_code[code] for name, code in codes.items()}


def mutmut(*names: str) -> None:
    """Make the mutants anew where code has changed, and run those of these names."""
    command = [MUTMUT, "run", "--max-children", str(CHILDREN), *names]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def tried(module: Path, sample: int | None, seed: int) -> dict[str, str]:
    """Run the mutants of a module, or a sample of them; return what became of each."""
    names = sorted(read(module))
    Random(f"{seed} {module}").shuffle(names)
    chosen = names[:sample]
    if left := [name for name, verdict in read(module).items() if name in chosen and verdict not in DETECTED]:
        mutmut(*left)
    return {name: verdict for name, verdict in read(module).items() if name in chosen}


def told(module: Path, name: str) -> str:
    """Return a mutant in a line: its function, and how its changed lines read."""
    changed = [line for line in get_diff_for_mutant(name, path=module).splitlines()[2:] if line[0] in "+-"]
    reads = " ".join(line[1:].strip() for line in changed if line[0] == "+")
    function = name.rpartition(".")[2].partition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    return f"`{module.name}` {function}: `{reads or 'without ' + changed[0][1:].strip()}`"


def row(module: Path, counts: Counter[str]) -> str:
    """Return a module's row of the table."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    detected = sum(counts[status] for status in DETECTED)
    return (
        f"| {module} | {len(read(module))} | {counts.total()} | {counts['killed']} | {counts['timeout']} |"
        f" {counts.total() - detected} | {detected / counts.total():.1%} | {commit.strip()} |"
    )


def put(line: str) -> None:
    """Put a row into the table, in the place of the module's last one."""
    lines = RESULT.read_text().splitlines()
    ruler = next(place for place, line in enumerate(lines) if line.startswith("| ---"))
    end = next((place for place in range(ruler, len(lines)) if not lines[place].startswith("|")), len(lines))
    rows = {row.split(" | ")[0]: row for row in [*lines[ruler + 1 : end], line]}
    lines[ruler + 1 : end] = [rows[name] for name in sorted(rows)]
    RESULT.write_text("\n".join(lines) + "\n")


def main(only: list[str], sample: int | None, seed: int) -> int:
    """Run the modules; return how many of their survivors nobody has explained."""
    (WORKPLACE / "mutmut-stats.json").unlink(missing_ok=True)  # tests may have changed what they reach
    mutmut(ANY)
    unexplained = 0
    for module in modules(only):
        found = tried(module, sample, seed)
        line = row(module, Counter(found.values()))
        put(line)
        print(line, flush=True)
        explained = RESULT.read_text()
        for name, status in found.items():
            if status not in DETECTED and (mutant := told(module, name)) not in explained:
                unexplained += 1
                print(f"- {mutant} ({status}, {name})", flush=True)
    return unexplained


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("only", nargs="*", metavar="MODULE")
    options.add_argument("--sample", type=int)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    sys.exit(1 if main(given.only, given.sample, given.seed) else 0)
