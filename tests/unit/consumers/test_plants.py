"""Planted phenomena: the named culprits do what they are said to do, when they are said to do it."""

from collections import Counter

import pytest

from consumers.events import Event
from consumers.scoring import Vader
from consumers.sources.simulator import START, Culprits, Plant, SimulatedSource, default_plant

ACCOUNTS = 4_000
DURATION = 900.0


def planted(phenomenon, seed: int = 1) -> tuple[SimulatedSource, Culprits]:
    plant = default_plant(phenomenon, ACCOUNTS, DURATION)
    source = SimulatedSource(accounts=ACCOUNTS, seed=seed, rate=20.0, duration=DURATION, plants=[plant], score=Vader())
    (told,) = source.culprits
    return source, told


async def heard(source: SimulatedSource) -> list[Event]:
    return [event async for delivery in source.deliveries(None) for event in delivery.events]


@pytest.mark.parametrize("phenomenon", ["cascade", "polarization", "burst"])
def test_culprits_are_named_before_anything_happens_and_differ_by_seed(phenomenon):
    source, told = planted(phenomenon)
    assert len(told.dids) == len(set(told.dids)) == default_plant(phenomenon, ACCOUNTS, DURATION).culprits
    assert source.start < told.start < told.end <= source.start + DURATION * 1_000_000
    assert not set(told.dids) & set(planted(phenomenon, seed=2)[1].dids)


async def test_the_seeds_of_a_cascade_are_reposted_and_quoted_by_a_crowd_more_than_anyone():
    source, told = planted("cascade")
    events = await heard(source)
    received = Counter(event.agent for event in events if event.role == "target" and event.kind in ("repost", "quote"))
    crowd = {event.peer for event in events if event.role == "target" and event.agent in told.dids}
    assert {did for did, _ in received.most_common(len(told.dids))} == set(told.dids)
    assert len(crowd) > 20 * len(told.dids)
    kinds = {event.kind for event in events if event.role == "target" and event.agent in told.dids}
    assert {"repost", "quote"} <= kinds


async def test_a_camp_replies_in_the_strongest_words_and_is_answered_by_many():
    source, told = planted("polarization")
    events = await heard(source)
    inside = [event for event in events if told.start <= event.t <= told.end]
    words = [e.valence for e in inside if e.agent in told.dids and e.role == "actor" and e.kind == "reply"]
    assert len(words) >= 6 * len(told.dids)
    assert sum(valence is not None and valence <= -0.5 for valence in words) >= 0.95 * len(words)
    received = Counter(event.agent for event in inside if event.role == "target" and event.kind in ("reply", "like"))
    others = sorted((count for did, count in received.items() if did not in told.dids), reverse=True)
    assert min(received[did] for did in told.dids) > others[len(others) // 50]


async def test_a_burst_is_many_acts_of_few_accounts_within_one_minute():
    source, told = planted("burst")
    events = await heard(source)
    assert told.start // 60_000_000 == told.end // 60_000_000
    acts = [event for event in events if event.role == "actor" and event.agent in told.dids]
    inside = [event for event in acts if told.start <= event.t <= told.end + 30_000]
    assert len(inside) >= 12 * len(told.dids)
    assert {event.agent for event in inside} == set(told.dids)
    assert len(inside) > 0.8 * len(acts)


@pytest.mark.parametrize("after", [0.0, 12.5, 59.0, 100.0, 130.0])
@pytest.mark.parametrize("lasting", [5.0, 40.0, 60.0])
def test_a_burst_that_fits_into_a_minute_is_in_one_and_whole(after, lasting):
    start = START + 17_000_003
    plant = Plant("burst", after, lasting, culprits=20, share=1.5)
    source = SimulatedSource(accounts=ACCOUNTS, start=start, rate=20.0, duration=300.0, plants=[plant])
    (told,) = source.culprits
    assert start <= told.start
    assert told.start // 60_000_000 == (told.end - 1) // 60_000_000
    first, last = source.start + int(after * 1e6) - 60_000_000, source.start + int(after * 1e6) + 60_000_000
    assert first <= told.start <= last


async def test_without_plants_the_same_accounts_are_ordinary():
    _, told = planted("cascade")
    source = SimulatedSource(accounts=ACCOUNTS, seed=1, rate=20.0, duration=DURATION)
    received = Counter(e.agent for e in await heard(source) if e.role == "target" and e.kind in ("repost", "quote"))
    assert sum(received[did] for did in told.dids) < 20


async def test_a_plant_changes_nothing_of_the_background():
    source, _ = planted("burst")
    calm = SimulatedSource(accounts=ACCOUNTS, seed=1, rate=20.0, duration=DURATION)
    with_plant = {line for chunk in source.chunks() for line in chunk.lines}
    without = [line for chunk in calm.chunks() for line in chunk.lines]
    assert with_plant.issuperset(without)
