"""Dead letters tried again: what was refused is read once more from where it was, for nothing of it was kept.

A recording is read at the line or frame; a live host is asked from the place on, for as long as it keeps it. What
decodes now is appended to the events topic unless the log holds it, told by what it is. Its events are of the source
`retry:<source id>`, whose seqs no mark is compared with, for the stream they belong to has long gone on. They count
in the windows that still hold their time.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Final, Literal, Protocol, cast

import orjson

from consumers.deadletters import Letter
from consumers.events import Event
from consumers.identity import identity_of, read_event
from consumers.log import Entry, Log, partition_of
from consumers.scoring import Scorer
from consumers.sources import Delivery, Source
from consumers.sources.recording import RecordedSource

Outcome = Literal["appended", "known", "nothing", "unreadable", "gone", "unanswered", "no_place", "no_source"]

SETTLED: Final = frozenset({"appended", "known", "nothing"})
"""Outcomes after which there is nothing to try again."""

MEANING: Final[dict[Outcome, str]] = {
    "appended": "read now, and appended to the events",
    "known": "read now, and in the log already",
    "nothing": "read now, and of no interest",
    "unreadable": "still cannot be read",
    "gone": "no longer kept where it was",
    "unanswered": "asked for, and not answered in time",
    "no_place": "refused before it had a place to ask for",
    "no_source": "of a source that cannot be asked here: a recording whose path was not given, or the simulator",
}

PREFIX: Final = "retry:"

_REACH: Final = {"relay": 1, "jetstream2": 100, "jetstream1": 1_000_000}
"""What had no place of its own was written down under the place before it: how far beyond that it can be."""

_SPAN: Final = {"relay": 5_000, "jetstream2": 5_000, "jetstream1": 60_000_000}
"""Places no further apart than this are read on one connection."""

_LOST: Final = frozenset({"outdated_cursor", "cursor_too_old", "cursor_clamped"})
_ANEW: Final = frozenset({"future_cursor", "seq_reset"})


@dataclass(slots=True)
class Again:
    """What reading one place again gave."""

    outcome: Literal["read", "unreadable", "gone", "unanswered"]
    events: list[Event] = field(default_factory=list)


class Sources(Protocol):
    """Finds what a letter's source id names."""

    def recording(self, name: str) -> Path | None:
        """Return the path of a recording of this file name, None where it is not known."""

    def live(self, protocol: str, host: str) -> Source:
        """Return the source of a host. Raises SourceError."""

    def scorer(self) -> Scorer:
        """Return what gives posts their valence."""


def place_of(letter: Letter) -> tuple[str, int]:
    """Return source id and place of a letter; place 0 is none."""
    src, _, number = letter.where.rpartition("@")
    return (src, int(number)) if src and number.isdecimal() else (letter.src, 0)


async def read_again(src: str, numbers: Sequence[int], sources: Sources, patience: float) -> dict[int, Again] | Outcome:
    """Read places of one source again; return what each gave, or the one outcome of all. Raises SourceError."""
    protocol, _, where = src.partition(":")
    if where.startswith("file:"):
        path = sources.recording(where.removeprefix("file:"))
        if path is None:
            return "no_source"
        return await asyncio.to_thread(_from_file, RecordedSource(path, score=sources.scorer()), numbers)
    if protocol not in _REACH:
        return "no_source"
    found: dict[int, Again] = {}
    for group in _groups(sorted(set(numbers)), _SPAN[protocol]):
        found |= await _from_host(sources.live(protocol, where), protocol, group, patience)
    return found


def _from_file(source: RecordedSource, numbers: Sequence[int]) -> dict[int, Again]:
    found = {number: Again("gone") for number in numbers}
    for number, delivery in source.numbered(found.keys()):
        found[number] = Again("unreadable" if delivery.rejected else "read", delivery.events)
    return found


def _groups(numbers: Sequence[int], span: int) -> Iterator[list[int]]:
    """Cut ascending places where they are more than `span` apart."""
    cuts = [0, *(index for index in range(1, len(numbers)) if numbers[index] - numbers[index - 1] > span)]
    for index, start in enumerate(cuts):
        yield list(numbers[start : cuts[index + 1] if index + 1 < len(cuts) else len(numbers)])


async def _from_host(source: Source, protocol: str, numbers: list[int], patience: float) -> dict[int, Again]:
    """Ask a host from the first place on until it is past the last, or silent for `patience` seconds."""
    found = {number: Again("unanswered") for number in numbers}
    refused: set[str] = set()
    deliveries = cast("AsyncGenerator[Delivery]", source.deliveries(numbers[0] - 1))
    async with aclosing(deliveries):
        while True:
            try:
                delivery = await asyncio.wait_for(anext(deliveries), patience)
            except (TimeoutError, StopAsyncIteration):
                break
            causes = {gap.cause for gap in delivery.gaps}
            if causes & _ANEW:
                return {number: Again("gone") for number in numbers}
            if causes & _LOST:
                first = min((event.seq for event in delivery.events), default=numbers[-1])
                found |= {number: Again("gone") for number in numbers if number < first}
            refused.update(rejected.where for rejected in delivery.rejected)
            _sort_in(delivery.events, found, numbers, _REACH[protocol])
            reached = delivery.cursor or 0  # a new reading: no host has begun its seqs anew in it
            for number in numbers:
                if number <= reached and found[number].outcome == "unanswered":
                    found[number].outcome = "read"
            if reached > numbers[-1] + _REACH[protocol]:
                break
    return {
        number: Again("unreadable", again.events)
        if again.outcome == "read" and f"{source.name}@{number}" in refused
        else again
        for number, again in found.items()
    }


def _sort_in(events: Iterable[Event], found: Mapping[int, Again], numbers: Sequence[int], reach: int) -> None:
    """Give each event to the last place before it, if it is within reach."""
    for event in events:
        index = bisect_right(numbers, event.seq) - 1
        if index >= 0 and event.seq - numbers[index] <= reach:
            found[numbers[index]].events.append(event)


async def absent(log: Log, topic: str, events: Sequence[Event]) -> list[Event]:
    """Return those events, each once, that the log does not hold. Reads the partitions in question whole."""
    begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
    keys = {event.agent.encode() for event in events}
    partitions = {partition_of(key, len(ends)) for key in keys}
    known = set()
    if partitions:
        reader = await log.reader(topic, {partition: begins[partition] for partition in partitions})
        try:
            while any(max(reader.positions[part], begins[part]) < ends[part] for part in partitions):
                for chunk in await reader.poll(max_records=10_000):
                    for key, value in zip(chunk.keys, chunk.values, strict=True):
                        if key in keys and value is not None:
                            known.add(identity_of(read_event(orjson.loads(value))))
                begins = await log.begin_offsets(topic)
        finally:
            await reader.close()
    new = []
    for event in events:
        if (identity := identity_of(event)) not in known:
            known.add(identity)
            new.append(replace(event, src=PREFIX + event.src, epoch=0))
    return new


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
        if isinstance(found, str):
            outcomes |= {letter: found for _, letter in some}
            continue
        new = await absent(log, topic, [event for again in found.values() for event in again.events])
        await log.append(topic, [Entry(event.agent.encode(), event.encode()) for event in new])
        total += len(new)
        fresh = {identity_of(event) for event in new}
        outcomes |= {letter: _outcome(found[number], fresh) for (_, number), letter in some}
    return outcomes, total


def _outcome(again: Again, fresh: set[object]) -> Outcome:
    if again.outcome != "read":
        return again.outcome
    if not again.events:
        return "nothing"
    return "appended" if any(identity_of(event) in fresh for event in again.events) else "known"
