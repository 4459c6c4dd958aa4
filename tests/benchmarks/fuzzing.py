"""A million mutated real frames and lines: nothing raises, nothing hangs, and every operation is accounted for."""

import random
import time
from collections import Counter

import pytest
from rich.console import Console
from rich.table import Table

from tests.unit.consumers.corpus import raw_frames, v1_lines
from tests.unit.consumers.frames import v2_message
from tests.unit.consumers.test_decoding_fuzz import account_for, mutate

COUNT = 1_000_000
SEED = 20_261_123


def main() -> None:
    try:
        samples = {"relay": raw_frames(), "jetstream1": v1_lines(), "jetstream2": [v2_message(seq=n) for n in range(9)]}
    except pytest.skip.Exception as absent:
        print(absent)
        return
    rng = random.Random(SEED)
    operations: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    slowest = 0.0
    for number in range(COUNT):
        protocol = ("relay", "jetstream1", "jetstream2")[number % 3]
        data = mutate(rng.choice(samples[protocol]), rng)
        began = time.perf_counter()
        delivery = account_for(protocol, data)  # asserts operations == accepted + ignored + rejected
        slowest = max(slowest, time.perf_counter() - began)
        operations["accepted"] += delivery.accepted
        operations["ignored"] += delivery.ignored.total()
        reasons.update(rejected.reason for rejected in delivery.rejected)
    table = Table("what became of it", "operations", title=f"{COUNT:,} mutated, seed {SEED}, slowest {slowest:.3f} s")
    for name, count in [*operations.items(), *((f"rejected: {name}", n) for name, n in reasons.most_common())]:
        table.add_row(name, f"{count:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
