"""A million mutated real frames and lines: nothing raises, nothing hangs, and every operation is accounted for.

Half are broken in their bytes, half keep their form and say something odd.
"""

import random
import time
from collections import Counter

import pytest
from rich.console import Console
from rich.table import Table

from tests.campaigns.upstream import as_v2
from tests.unit.consumers.corpus import raw_frames, v1_lines
from tests.unit.consumers.test_decoding_fuzz import account_for, mutate, warp

COUNT = 1_000_000
SEED = 20_261_123


def fuzz(count: int = COUNT, seed: int = SEED) -> tuple[dict[str, Counter[str]], float]:
    """Return what became of mutated frames and lines by protocol, and the seconds of processor time of the slowest."""
    frames, lines = raw_frames(), v1_lines()
    messages = [as_v2(line, number) for number, line in enumerate(lines)]
    samples = {"relay": frames, "jetstream2": messages, "jetstream1": lines}
    rng = random.Random(seed)
    became = {protocol: Counter[str]() for protocol in samples}
    slowest = 0.0
    for number in range(count):
        protocol = tuple(samples)[number % 3]
        sample = rng.choice(samples[protocol])
        data = warp(protocol, sample, rng) if number % 2 else mutate(sample, rng)
        began = time.process_time()
        delivery = account_for(protocol, data)  # asserts operations == accepted + ignored + rejected
        slowest = max(slowest, time.process_time() - began)
        counts = became[protocol]
        counts.update(operations=delivery.operations, accepted=delivery.accepted, ignored=delivery.ignored.total())
        counts.update(f"rejected: {rejected.reason}" for rejected in delivery.rejected)
    return became, slowest


def main() -> None:
    try:
        became, slowest = fuzz()
    except pytest.skip.Exception as absent:
        print(absent)
        return
    title = f"{COUNT:,} mutated, seed {SEED}, slowest {1e3 * slowest:.1f} ms of processor time"
    table = Table("what became of it", *became, title=title)
    for name in names(became):
        table.add_row(name, *(f"{counts[name]:,}" for counts in became.values()))
    Console().print(table)


def names(became: dict[str, Counter[str]]) -> list[str]:
    """Return what became of them, the commonest first."""
    return [name for name, _ in sum(became.values(), Counter()).most_common()]


if __name__ == "__main__":
    main()
