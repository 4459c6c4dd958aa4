"""Dead letters tried again: what was refused is read once more from where it was, for nothing of it was kept.

What decodes now is appended to the events topic unless the log holds it, told by what it is, or its agent has left
since. Its events are of the source `retry:<source id>`, whose seqs no mark is compared with, for the stream they
belong to has long gone on. They count in the windows that still hold their time.
"""

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final, Literal

import orjson

from consumers.bridge.deadletters import Letter
from consumers.bridge.identity import identity_of, read_event
from consumers.bridge.rereading import Again, Sources, place_of, read_again
from consumers.bridge.tenure import CLAIM_KEY, read_claim
from consumers.events import GONE, Event
from consumers.log import Entry, Log, partition_of

Outcome = Literal["appended", "known", "nothing", "unreadable", "gone", "unanswered", "no_place", "no_source"]

SETTLED: Final = frozenset({"appended", "known", "nothing"})
"""Outcomes after which there is nothing to try again."""

MEANING: Final[dict[Outcome, str]] = {
    "appended": "read now, and appended to the events",
    "known": "read now, and in the log already",
    "nothing": "read now, and of no interest, or of accounts that have left since",
    "unreadable": "still cannot be read",
    "gone": "no longer kept where it was",
    "unanswered": "asked for, and not answered in time",
    "no_place": "refused before it had a place to ask for",
    "no_source": "of a source that cannot be asked here: a recording whose path was not given, or the simulator",
}

PREFIX: Final = "retry:"


@dataclass(slots=True)
class Held:
    """What the log holds of some agents: the identities of their events, and when they left, µs, those who did."""

    identities: set[Hashable] = field(default_factory=set)
    left: dict[str, int] = field(default_factory=dict)
    epochs: dict[tuple[int, str], int] = field(default_factory=dict)

    def note(self, value: bytes | None, partition: int) -> None:
        """Take up one record; what is no event, or was written by a bridge after its turn, is passed over."""
        try:
            record = orjson.loads(value)  # type: ignore[arg-type]  # None is refused, and passed over
            if record["kind"] == "bridge":
                srcs, epoch = read_claim(record)
                self.epochs |= {(partition, src): max(epoch, self.epochs.get((partition, src), 0)) for src in srcs}
                return
            event = read_event(record)
        except (KeyError, TypeError, ValueError):
            return
        if event.epoch < self.epochs.get((partition, event.src), 0):
            return
        self.identities.add(identity_of(event))
        if event.kind == "account":
            self.left[event.agent] = event.t if event.status in GONE else 0

    def lacking(self, events: Iterable[Event]) -> list[Event]:
        """Return those events, each once, that are not held, and not of an agent who has left since."""
        new = {
            identity_of(event): replace(event, src=PREFIX + event.src, epoch=0)
            for event in events
            if identity_of(event) not in self.identities and event.t > self.left.get(event.agent, 0)
        }
        return list(new.values())


async def held_of(log: Log, topic: str, agents: Collection[str]) -> Held:
    """Return what the log holds of these agents. Reads the partitions that they are in, whole."""
    begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
    keys = {agent.encode() for agent in agents}
    partitions = {partition_of(key, len(ends)) for key in keys}
    keys.add(CLAIM_KEY)
    held = Held()
    if not partitions:
        return held
    reader = await log.reader(topic, {partition: begins[partition] for partition in partitions})
    try:
        while any(max(reader.positions[part], begins[part]) < ends[part] for part in partitions):
            for chunk in await reader.poll(max_records=10_000):
                for key, value in zip(chunk.keys, chunk.values, strict=True):
                    if key in keys:
                        held.note(value, chunk.partition)
            begins = await log.begin_offsets(topic)
    finally:
        await reader.close()
    return held


async def retry(
    log: Log, topic: str, letters: Sequence[Letter], sources: Sources, *, patience: float
) -> tuple[dict[Letter, Outcome], int]:
    """Read the places of letters again and append what is new; return each letter's outcome and how many events.

    Nobody else may be appending events of the same sources meanwhile. Raises SourceError, LogError.
    """
    placed = sorted((place_of(letter), letter) for letter in letters if place_of(letter)[1])
    outcomes: dict[Letter, Outcome] = dict.fromkeys(letters, "no_place")
    total = 0
    for src, group in groupby(placed, key=lambda one: one[0][0]):
        some = list(group)
        found = await read_again(src, [number for (_, number), _ in some], sources, patience)
        if found is None:
            outcomes |= dict.fromkeys((letter for _, letter in some), "no_source")
            continue
        events = [event for again in found.values() for event in again.events]
        held = await held_of(log, topic, {event.agent for event in events})
        new = held.lacking(events)
        await log.append(topic, [Entry(event.agent.encode(), event.encode()) for event in new])
        total += len(new)
        outcomes |= {letter: _outcome(found[number], held, new) for (_, number), letter in some}
    return outcomes, total


def _outcome(again: Again, held: Held, new: Sequence[Event]) -> Outcome:
    if again.outcome != "read":
        return again.outcome
    identities = {identity_of(event) for event in again.events}
    if not identities.isdisjoint(map(identity_of, new)):
        return "appended"
    return "nothing" if identities.isdisjoint(held.identities) else "known"
