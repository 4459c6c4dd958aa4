"""What a trial found, and what it is held to.

Every record that the host sent is in the log once, and none else. What it never sent lies in a gap of the log, which
begins and ends at records that came; where all came there is no gap. And what came in is what became of it:
operations = records + repeats + ignored + dead letters.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import orjson

from consumers.bridge.bridge import Bridge
from consumers.gaps import read_gap
from consumers.log import Log, Topics
from consumers.sources import Delivery, Gap
from tests.campaigns.faults.script import Reckoning, Record
from tests.campaigns.verdict import records


@dataclass
class Outcome:
    """What a trial found. `wrong` is empty where everything is as it must be."""

    protocol: str
    fault: str
    connections: int = 0
    sent: int = 0
    frames: int = 0
    operations: int = 0
    records: int = 0
    repeats: int = 0
    ignored: int = 0
    letters: int = 0
    overflow: int = 0
    lost: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(what)


@dataclass
class Found:
    """What a log holds: how often each thing that somebody did, and met with; gaps, and dead letters' reasons."""

    acted: Counter[Hashable] = field(default_factory=Counter)
    met: Counter[Hashable] = field(default_factory=Counter)
    times: dict[Hashable, int] = field(default_factory=dict)
    gaps: set[Gap] = field(default_factory=set)
    letters: Counter[str] = field(default_factory=Counter)


async def found_in(log: Log, topics: Topics) -> Found:
    found = Found()
    for _, value in await records(log, topics.events):
        document = orjson.loads(value or b"")
        if document["kind"] == "gap":
            found.gaps.add(read_gap(document))
        elif document["kind"] != "bridge":
            side = found.acted if document["role"] == "actor" else found.met
            states = (document["agent"], document["kind"], document["t"])
            what = (document["rev"], document["uri"]) if document["uri"] else states
            side[what] += 1
            found.times[what] = document["t"]
    for _, value in await records(log, topics.deadletters):
        found.letters[orjson.loads(value or b"")["reason"]] += 1
    return found


def account(outcome: Outcome, heard: Delivery, bridge: Bridge, found: Found) -> None:
    """Fill in the figures, and hold what came in to what became of it."""
    stats = bridge.stats
    outcome.frames = heard.frames
    outcome.operations, outcome.ignored = stats.operations, stats.ignored.total()
    outcome.records, outcome.letters, outcome.overflow = len(found.acted), found.letters.total(), stats.overflow
    outcome.repeats = stats.accepted - outcome.records
    outcome.gaps = Counter(gap.cause for gap in found.gaps)
    became = outcome.records + outcome.repeats + outcome.ignored + outcome.letters + outcome.overflow
    outcome.check(stats.operations == became, f"{stats.operations} operations came in, {became} are accounted for")
    outcome.check(
        len(heard.events) == sum(found.acted.values()) + sum(found.met.values()) + stats.duplicates,
        "events read are not those in the log and the repeats",
    )
    outcome.check(set(found.acted.values()) <= {1} and set(found.met.values()) <= {1}, "the log has an event twice")


def cover(
    outcome: Outcome, made: Mapping[Record, int], found: Found, *, premature: bool = False, slack: int = 0
) -> None:
    """Hold the gaps to what was made and is not in the log, stretch by stretch.

    `premature`: gaps may be said where it came after all. `slack`: µs by which they may be too wide.
    """
    times = sorted({(t, record in found.acted) for record, t in made.items()})
    stretches: list[list[int]] = []
    for index, (t, there) in enumerate(times):
        if there:
            continue
        outcome.lost += 1
        if not stretches or not (index and not times[index - 1][1]):
            stretches.append([t, t])
        stretches[-1][1] = t
    there = [t for t, is_there in times if is_there]
    left = set(found.gaps)
    for first, last in stretches:
        before = max((t for t in there if t < first), default=0)
        after = min((t for t in there if t > last), default=times[-1][0])
        saying = {gap for gap in left if before - slack <= gap.start < first and last < gap.end <= after + slack}
        outcome.check(len(saying) == 1, f"{len(saying)} gaps say a loss from {first} to {last}, cut at what came")
        left -= saying
    outcome.check(
        not left or premature, f"a gap is said where nothing is lost: {sorted(left, key=lambda gap: gap.start)}"
    )


def reckon(outcome: Outcome, bridge: Bridge, expected: Reckoning) -> None:
    """Hold what was read to what was sent, message by message."""
    stats = bridge.stats
    outcome.check(outcome.frames == outcome.sent, f"{outcome.sent} messages sent, {outcome.frames} read")
    for what, found, wanted in (
        ("accepted", stats.accepted, expected.accepted),
        ("ignored", stats.ignored, expected.ignored),
        ("rejected", stats.rejected, expected.rejected),
    ):
        outcome.check(found == wanted, f"{what}: {found}, for {wanted} sent")
