"""What an event is known by, and for how long."""

from dataclasses import replace

import orjson
import pytest

from consumers.bridge import identity
from consumers.bridge.identity import Memory, identity_of, read_event
from consumers.events import Event

LIKE = Event("a", "actor", "like", "b", 1_000, "relay:x", 5, "rev1", 2, "at://a/like/1")
GONE = Event("a", "actor", "account", None, 1_000, "relay:x", 5, status="deleted")
BARE = replace(LIKE, rev=None, uri=None)


@pytest.mark.parametrize(
    ("one", "change", "same"),
    [
        (LIKE, {"t": 2, "src": "jetstream1:y", "seq": 9, "op": 7, "peer": "c", "valence": 0.5, "epoch": 3}, True),
        (LIKE, {"agent": "c"}, False),
        (LIKE, {"role": "target"}, False),
        (LIKE, {"kind": "repost"}, False),
        (LIKE, {"rev": "rev2"}, False),
        (LIKE, {"uri": "at://a/like/2"}, False),
        (GONE, {"src": "jetstream1:y", "seq": 9, "op": 1, "rev": "r"}, True),
        (GONE, {"agent": "c"}, False),
        (GONE, {"kind": "identity"}, False),
        (GONE, {"status": "active"}, False),
        (GONE, {"t": 1_001}, False),
        (replace(GONE, kind="identity", status=None), {"t": 1_001}, False),
        (BARE, {"t": 2, "epoch": 3}, True),
        (BARE, {"agent": "c"}, False),
        (BARE, {"role": "target"}, False),
        (BARE, {"kind": "repost"}, False),
        (BARE, {"peer": "c"}, False),
        (BARE, {"src": "relay:y"}, False),
        (BARE, {"seq": 6}, False),
        (BARE, {"op": 3}, False),
    ],
)
def test_an_event_is_known_by_what_no_host_changes(one: Event, change: dict, same: bool) -> None:
    assert (identity_of(replace(one, **change)) == identity_of(one)) is same


@pytest.mark.parametrize("event", [LIKE, GONE, BARE, replace(LIKE, epoch=7)])
def test_an_event_read_from_the_log_is_the_one_that_was_written(event: Event) -> None:
    assert read_event(orjson.loads(event.encode())) == event


def like(number: int, t: int = 0) -> Event:
    return replace(LIKE, t=t, rev=f"rev{number}")


def test_what_is_staged_is_known_and_stays_so_only_when_it_is_in_the_log() -> None:
    memory = Memory(horizon=100)
    assert memory.note(like(1))
    assert not memory.note(like(1))
    memory.forget_staged()
    assert memory.note(like(1))
    memory.commit()
    assert not memory.note(like(1))
    memory.forget_staged()
    assert not memory.note(like(1))
    assert len(memory) == 1


def test_an_event_is_known_for_a_horizon_of_stream_time_at_least_and_for_two_at_most() -> None:
    for age, known in ((0, True), (100, True), (199, True), (200, False)):
        memory = Memory(horizon=100)
        for t in (0, 50, 99, 100, 150, age):
            memory.note(like(t, t))
            memory.commit()
        assert memory.note(like(0, age)) is not known
    memory = Memory(horizon=100)
    for t in range(0, 301, 50):
        memory.note(like(t, t))
        memory.commit()
    assert len(memory) == 3
    assert not any(memory.note(like(t, 300)) for t in (200, 250, 300))


def test_a_clock_that_steps_back_makes_nothing_forgotten() -> None:
    memory = Memory(horizon=100)
    for number, t in enumerate((1_000, 10, 1_099, 20)):
        memory.note(like(number, t))
        memory.commit()
    assert len(memory) == 4


def test_memory_is_bounded_whatever_the_clocks_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_MOST", 10)
    memory = Memory(horizon=10**12)
    for number in range(95):
        assert memory.note(like(number))
        memory.commit()
        assert len(memory) <= 20
    assert not memory.note(like(94))
    assert not memory.note(like(85))
