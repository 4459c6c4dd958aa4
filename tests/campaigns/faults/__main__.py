"""`make faults`: faults on every wire, storms of them, a real PDS's own, mutated frames; what became of each."""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import structlog

from tests.benchmarks.fuzzing import COUNT, fuzz, names
from tests.campaigns.faults.outcome import Outcome
from tests.campaigns.faults.people import SAID, told
from tests.campaigns.faults.rows import EVERY, FAULTS
from tests.campaigns.faults.storm import storm
from tests.campaigns.faults.trial import trial
from tests.servers.pds import PdsMissingError, check, running

TABLE = Path(__file__).parents[1] / "faults.md"
HEAD = """# Fault campaign

Written by `make faults`. Each row is a host with a fault, read by the real source and carried by the real bridge into a
log. What a host does stands in `faults/rows.py`, `faults/storm.py` and `faults/people.py`, what it is held to in
`faults/trial.py`.

`operations` that came in = `records` new in the log + `repeats` dropped + `ignored` + `dead letters`; and, unless
frames were cut off, each of these is what the host sent, message by message. `lost`: records that the host never gave;
they lie in the gap that is said, which begins and ends at what came, and where nothing is lost no gap is said.
`as it must be`: all of that, each record in the log once, and the stream went on.

| source | fault | connections | frames | operations | records | repeats | ignored | dead letters | lost | gaps said |\
 verdict |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |"""

TAIL = """
A relay's frames are in order by its protocol: where a dense one's seqs jump, the gap is said at once, and stays said
where the frames come after all (`a stretch out of order`). Where a host begins its seqs anew and is beyond the cursor
before we are back, nobody can tell; and a Jetstream v1 that clamps a cursor by less than a minute is not noticed.
"""


def row(one: Outcome) -> str:
    gaps = ", ".join(f"{count} × {cause}" for cause, count in sorted(one.gaps.items())) or "none"
    figures = (one.connections, one.frames, one.operations, one.records, one.repeats, one.ignored)
    figures += (one.letters + one.overflow, one.lost)
    verdict = "; ".join(one.wrong) or "as it must be"
    return f"| {one.protocol} | {one.fault} | {' | '.join(f'{figure:,}' for figure in figures)} | {gaps} | {verdict} |"


def mutated(became: dict[str, Counter[str]], slowest: float) -> list[str]:
    """Return a table of what became of mutated frames and lines."""
    return [
        "## Mutated frames and lines\n",
        f"{COUNT:,} real frames and lines, half of them broken in their bytes, half with something odd in a whole form",
        f"(`fuzzing` of the benchmarks). The slowest took {1e3 * slowest:.1f} ms of processor time.\n",
        f"| what became of them | {' | '.join(became)} |",
        "| --- |" + " ---: |" * len(became),
        *(f"| {name} | {' | '.join(f'{counts[name]:,}' for counts in became.values())} |" for name in names(became)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--connections", type=int, default=500, help="of each storm")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    outcomes: list[Outcome] = []

    def play(one: Callable[[Path], Awaitable[Outcome]]) -> None:
        with tempfile.TemporaryDirectory(prefix="starlingd-faults-") as folder:
            outcomes.append(asyncio.run(one(Path(folder))))  # type: ignore[arg-type]
        print(row(outcomes[-1]), flush=True)

    for fault in (*FAULTS, storm(given.connections, given.seed)):
        for protocol in fault.protocols:
            play(lambda folder, fault=fault, protocol=protocol: trial(fault, protocol, folder))
    try:
        check()
    except PdsMissingError as error:
        print(error, file=sys.stderr)
        return 1
    for said in SAID:
        with running(**said.options) as pds:
            play(lambda folder, said=said, pds=pds: told(said, pds, folder))
    try:
        fuzzed = fuzz()
    except pytest.skip.Exception as absent:
        print(absent, file=sys.stderr)
        return 1
    outcomes.sort(key=lambda one: (*EVERY, "PDS").index(one.protocol))
    TABLE.write_text("\n".join([HEAD, *map(row, outcomes), TAIL, *mutated(*fuzzed)]) + "\n", "utf-8")
    return int(any(one.wrong for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
