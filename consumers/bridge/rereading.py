"""What was refused, read once more from where it was: a recording at the line or frame, a live host from the place on.

A host is asked for as long as it keeps the place, and waited for with patience. Nothing here touches the log.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol, cast

from consumers.bridge.deadletters import Letter
from consumers.events import Event
from consumers.scoring import Scorer
from consumers.sources import Delivery, Source
from consumers.sources.recording import RecordedSource

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


async def read_again(src: str, numbers: Sequence[int], sources: Sources, patience: float) -> dict[int, Again] | None:
    """Read places of one source again; return what each gave, None where it cannot be asked. Raises SourceError."""
    protocol, _, where = src.partition(":")
    if where.startswith("file:"):
        path = sources.recording(where.removeprefix("file:"))
        if path is None:
            return None
        return await asyncio.to_thread(_from_file, RecordedSource(path, score=sources.scorer()), numbers)
    if protocol not in _REACH:
        return None
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
