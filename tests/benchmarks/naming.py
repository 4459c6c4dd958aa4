"""Pseudonyms of a whole run's agents, new and known ones, beside HMAC-SHA256 one by one."""

import hmac
import time
from base64 import b32hexencode

from rich.console import Console
from rich.table import Table

from daemon.runs.pseudonyms import Pseudonyms
from tests.benchmarks._timing import machine, once

AGENTS = 1_671_587
KEY = "9b1f0c6f5d0e4b7f8a3c2e1d4f6a7b8c9d0e1f2a3b4c5d6e"
CHANGED = 0.02
"""Share of the agents who are new in the next run."""


def plainly(agents: list[str]) -> list[str]:
    """Hash, encode and sort as one would without thinking of the number."""
    key = KEY.encode()
    return sorted(
        "p:" + b32hexencode(hmac.digest(key, agent.encode(), "sha256")[:16]).decode().rstrip("=").lower()
        for agent in agents
    )


def main() -> None:
    agents = [f"did:plc:{number:024d}" for number in range(AGENTS)]
    following = agents[int(CHANGED * AGENTS) :] + [
        f"did:plc:new{number:021d}" for number in range(int(CHANGED * AGENTS))
    ]
    pseudonyms = Pseudonyms(KEY)
    table = Table(title=f"{AGENTS:,} pseudonyms, sorted; {machine()}", title_justify="left")
    table.add_column("what")
    table.add_column("seconds", justify="right")
    table.add_column("of processor time", justify="right")
    for what, case in (
        ("the first run", lambda: pseudonyms.table(agents)),
        ("a run of the same agents", lambda: pseudonyms.table(agents)),
        (f"a run with {CHANGED:.0%} new agents", lambda: pseudonyms.table(following)),
        ("HMAC-SHA256 one by one", lambda: plainly(agents)),
    ):
        began = time.process_time()
        seconds = once(case)
        table.add_row(what, f"{seconds:.2f}", f"{time.process_time() - began:.2f}")
    Console().print(table)
