"""What windows promise, one promise a test. Windows of 12 buckets of a second; times in seconds."""

import dataclasses

import numpy as np
import orjson
import pytest

from consumers.gaps import gap_record
from consumers.sources import Gap
from consumers.windows.delta import WIDTH
from consumers.windows.group import Windows
from consumers.windows.meaning import first_time
from consumers.windows.shape import Shape, WindowError
from engine.columns import INDEX
from tests.unit.consumers.factories import SECOND, START, count, event, feed

SHAPE = Shape(length=12 * SECOND, bucket=SECOND, lateness=0, idle_timeout=30 * SECOND)


def windows(**changes: int) -> Windows:
    return Windows(dataclasses.replace(SHAPE, **changes), [0])


def test_an_event_is_in_twelve_current_windows_then_in_twelve_preceding_ones_then_in_none() -> None:
    ticks = [event("clock", at=second) for second in range(1, 40)]
    snapshots = feed(windows(), [event("a", "post"), *ticks])
    assert [count(snapshot, "a", "posts") for snapshot in snapshots] == [1] * 12 + [0] * 27
    covered = [snapshot for snapshot in snapshots if snapshot.preceding is not None]
    assert covered[0].end == START + 24 * SECOND
    assert [count(snapshot, "a", "posts", preceding=True) for snapshot in covered] == [1] + [0] * 15


def test_a_snapshot_says_which_window_it_is_and_how_far_the_stream_had_come() -> None:
    (*_, last) = feed(windows(), [event("a"), event("a", at=2), event("a", at=3.5)])
    assert (last.lens, last.start, last.end) == ("all", START - 9 * SECOND, START + 3 * SECOND)
    assert last.watermark == START + 3.5 * SECOND


def test_no_window_closes_before_it_is_due_and_none_before_the_first_event() -> None:
    state = windows(lateness=2 * SECOND)
    with pytest.raises(ValueError, match="before they begin"):
        state.fold(0, [event("a").encode()], 0)
    with pytest.raises(ValueError, match="no window is due"):
        state.close(START)
    feed(state, [event("a")])
    with pytest.raises(ValueError, match="no window is due"):
        state.close(START + 3 * SECOND - 1)
    assert state.close(START + 3 * SECOND) is not None


def test_the_crossing_event_waits_for_the_lateness() -> None:
    snapshots = feed(windows(lateness=2 * SECOND), [event("a"), event("b", at=0.9), event("c", at=2.9)])
    assert snapshots == []
    snapshots = feed(windows(lateness=2 * SECOND), [event("a"), event("b", at=0.9), event("c", at=3)])
    assert [snapshot.agents for snapshot in snapshots] == [["a", "b"]]


def test_a_late_event_counts_in_every_later_window_that_holds_its_bucket() -> None:
    state = windows()
    snapshots = feed(state, [event("a"), event("a", at=5), event("late", "post", at=1), event("a", at=20)])
    assert [count(snapshot, "late", "posts") for snapshot in snapshots] == [0] * 5 + [1] * 8 + [0] * 7
    assert (state.stats.late, state.stats.dropped["too_late"]) == (1, 0)


@pytest.mark.parametrize(("behind", "dropped"), [(22.5, 0), (23.5, 1), (1_000, 1)])
def test_what_no_later_window_holds_is_dropped_and_counted(behind: float, dropped: int) -> None:
    state = windows()
    late = [event("late", at=100 - behind), event("late", at=100 - behind)]
    feed(state, [event("a"), event("a", at=100), *late, event("late", "account", at=0)])
    assert (state.stats.late, state.stats.dropped["too_late"]) == (2, 2 * dropped)
    assert state.stats.events == 5
    assert state.agents == 2 - dropped


def test_agents_in_no_held_bucket_lose_their_slot_and_it_is_used_again() -> None:
    state = windows()
    for second in range(200):
        feed(state, [event(f"agent{second}-{number}", at=second) for number in range(10)])
        assert state.agents <= 25 * 10 + 10
    slots = state.parts[0].state.slots
    assert slots.used <= 26 * 10
    assert state.evicted + state.agents == 2_000
    held = list(slots.of.values())
    unheld = np.setdiff1d(np.arange(slots.capacity), held)
    assert not state.parts[0].state.current[unheld].any()
    assert not state.parts[0].state.preceding[unheld].any()


def test_phases_follow_the_absolute_bucket_number() -> None:
    shape = Shape(length=24 * SECOND, bucket=SECOND, lateness=0)
    state = Windows(shape, [0])
    (*_, last) = feed(state, [event("a", "post", at=0), event("a", at=1), event("a", at=2.5), event("b", at=4)])
    phase = START // SECOND // 2 % 12
    assert count(last, "a", f"phase_{phase:02d}") == 2
    assert count(last, "a", f"phase_{(phase + 1) % 12:02d}") == 1


def test_valences_are_summed_as_integers_and_alarm_begins_at_minus_one_half() -> None:
    tones = (0.12345, -0.5, -0.49999, 1.0, -1.0)
    events = [event("a", "post", valence=tone) for tone in tones]
    events += [event("a", "like", valence=0.9), event("a", "reply", role="target", valence=0.9), event("a", "reply")]
    (snapshot,) = feed(windows(), [*events, event("b", at=1)])
    assert count(snapshot, "a", "scored") == 5
    assert count(snapshot, "a", "valence") == sum(round(tone * 10_000) for tone in tones)
    assert count(snapshot, "a", "alarm") == 2


@pytest.mark.parametrize("status", ["deleted", "takendown", "suspended", "deactivated"])
def test_an_account_that_is_gone_leaves_windows_and_buckets_at_once_and_is_named(status: str) -> None:
    state = windows()
    feed(state, [event("gone", "post"), event("stays"), event("gone", "post", at=1), event("stays", at=2)])
    gone = [event(agent, "account", at=2, status=status) for agent in ("gone", "nobody")]
    (snapshot,) = feed(state, [*gone, event("stays", at=3)])
    assert snapshot.erased == ["gone", "nobody"]
    assert state.stats.erased == 2
    assert snapshot.agents == ["stays"]
    held = state.parts[0].state
    assert "gone" not in held.slots.of
    assert not any("gone" in str(array.tobytes()) for array in held.dump().values())
    later = feed(state, [event("stays", at=40)])
    assert all(snapshot.erased == [] for snapshot in later)
    assert not held.current[:, 0].min() < 0


def test_an_account_that_comes_back_counts_again_and_is_not_named_as_gone() -> None:
    events = [event("back", "post"), event("back", "account", status="deactivated"), event("back", "like")]
    (snapshot,) = feed(windows(), [*events, event("b", at=1)])
    assert snapshot.erased == []
    assert (count(snapshot, "back", "posts"), count(snapshot, "back", "likes")) == (0, 1)


def test_an_active_status_an_undone_action_and_an_identity_change_no_count() -> None:
    state = windows()
    events = [event("a", "post"), event("a", "account", status="active"), event("a", "retract"), event("a", "identity")]
    (snapshot,) = feed(state, [*events, event("b", at=1)])
    assert count(snapshot, "a", "posts") == 1
    assert state.stats.kinds == {"account": 1, "retract": 1, "identity": 1}


def test_repeats_of_a_monotonic_source_are_dropped_and_the_events_of_one_operation_are_not() -> None:
    def operation(seq: int, src: str = "relay:one") -> list:
        given = {"src": src, "seq": seq, "at": seq / 100}
        return [
            event("x", "reply", role="target", **given),
            event("x", "quote", role="target", **given),
            event("x", "post", **(given | {"op": 1})),
        ]

    state = windows()
    events = [*operation(1), *operation(2), *operation(1), *operation(2), *operation(1, "relay:two"), event("b", at=1)]
    (snapshot,) = feed(state, events)
    assert [count(snapshot, "x", name) for name in ("replies_in", "quotes_in", "posts")] == [3, 3, 3]
    assert state.stats.duplicates == 6


def test_what_a_source_without_a_monotonic_seq_gives_is_never_taken_for_a_repeat() -> None:
    events = [event("a", "post", src="jetstream1:x", seq=5) for _ in range(3)]
    (snapshot,) = feed(windows(), [*events, event("b", at=1)])
    assert count(snapshot, "a", "posts") == 3


def broken() -> list[bytes | None]:
    whole = orjson.loads(event("a", "post", src="relay:one", seq=7, valence=0.5).encode())
    changes = [
        {"t": "1"}, {"t": -1}, {"t": 1 << 63}, {"t": None}, {"agent": None}, {"agent": 5}, {"role": "x"}, {"role": []},
        {"kind": "x"}, {"kind": {}}, {"role": "target"}, {"v": 2}, {"valence": 2}, {"valence": "x"}, {"src": 5},
        {"src": None}, {"seq": None}, {"seq": "7"}, {"op": None}, {"kind": "account"},
    ]  # fmt: skip
    lines: list[bytes | None] = [orjson.dumps(whole | change) for change in changes]
    lines += [orjson.dumps({key: value for key, value in whole.items() if key != name}) for name in ("t", "seq", "v")]
    return [*lines, None, b"", b"{", b"[]", b"5", b'{"kind":"gap"}', b'{"kind":"gap","start":2,"end":1,"cause":"x"}']


@pytest.mark.parametrize("value", broken())
def test_a_malformed_record_is_counted_and_changes_nothing(value: bytes | None) -> None:
    state = windows()
    state.begin(START)
    assert state.fold(0, [value], 0) == 1
    assert (state.stats.malformed, state.stats.events, state.stats.records) == (1, 0, 1)
    assert state.agents == 0
    assert all(mark < 0 for mark in state.parts[0].marks.values())


def test_after_the_last_agent_one_empty_snapshot_says_so_and_a_silent_year_is_passed_over() -> None:
    snapshots = feed(windows(), [event("a"), event("b", at=365 * 86_400), event("b", at=365 * 86_400 + 1)])
    assert len(snapshots) == 24 + 1 + 1
    assert (snapshots[24].agents, snapshots[24].end) == ([], START + 25 * SECOND)
    assert snapshots[25].agents == ["b"]
    assert snapshots[25].end == START + (365 * 86_400 + 1) * SECOND


def test_a_table_of_many_agents_is_whole_and_by_name_over_all_partitions() -> None:
    state = Windows(SHAPE, [0, 1])
    state.begin(START)
    names = [f"did:plc:{number:05d}" for number in range(20_000)]
    for partition in (0, 1):
        state.fold(partition, [event(name, "post").encode() for name in names[partition::2]], 0)
    for partition, (name, at) in enumerate([("did:plc:00002", 1), ("did:plc:19999", 1)]):
        state.fold(partition, [event(name, "post", at=at).encode()], 0)
    snapshots = [state.close(START + 2 * SECOND) for _ in range(2)]
    assert [snapshot.agents == names for snapshot in snapshots] == [True, True]
    assert (snapshots[0].current[0] == 1).all()
    assert np.flatnonzero(snapshots[1].current[0] == 2).tolist() == [2, 19_999]


def test_a_snapshot_says_which_partition_each_agent_is_in() -> None:
    state = Windows(SHAPE, [3, 5])
    state.begin(START)
    state.fold(5, [event("a").encode(), event("c").encode()], 0)
    state.fold(3, [event("b").encode()], 0)
    snapshot = state.close(START + SECOND)
    assert snapshot is not None
    assert (snapshot.agents, snapshot.partitions.tolist()) == (["a", "b", "c"], [5, 3, 5])


def test_folding_nothing_moves_nothing() -> None:
    state = windows()
    state.begin(START)
    assert state.fold(0, [], 0) == 0
    assert state.fold(0, [event("a").encode()], 1) == 1
    assert (state.stats.records, state.agents) == (0, 0)


def test_a_preceding_window_is_given_once_the_stream_reaches_back_over_it() -> None:
    ticks = [event("clock", at=0.5 + second) for second in range(40)]
    snapshots = feed(windows(), ticks)
    given = [snapshot.end for snapshot in snapshots if snapshot.preceding is not None]
    assert given[0] == START + 25 * SECOND
    assert [gap.cause for gap in snapshots[0].coverage.gaps] == ["before_the_stream"]
    assert snapshots[0].coverage.fraction == pytest.approx(0.5 / 12)
    assert snapshots[0].preceding_coverage.fraction == 0.0
    assert snapshots[-1].coverage.fraction == snapshots[-1].preceding_coverage.fraction == 1.0


def test_a_gap_counts_once_in_every_window_that_it_touches() -> None:
    state = Windows(SHAPE, [0, 1])
    gap = orjson.dumps(gap_record("relay:x", Gap(START + 30 * SECOND, START + 33 * SECOND, "seq_jump")))
    feed(state, [event("clock", at=second) for second in range(30)])
    assert state.fold(0, [gap], 0) == state.fold(1, [gap], 0) == 1
    snapshots = feed(state, [event("clock", at=second) for second in range(30, 80)])
    touched = [snapshot for snapshot in snapshots if snapshot.coverage.gaps]
    assert [snapshot.end // SECOND - START // SECOND for snapshot in touched] == list(range(31, 45))
    assert touched[5].coverage.fraction == pytest.approx(0.75)
    assert touched[5].coverage.gaps[0].cause == "seq_jump"
    assert state.gaps.seen == {"seq_jump": 1}
    assert not state.gaps.known


def test_a_preceding_window_of_which_nothing_was_covered_is_not_given() -> None:
    state = windows()
    feed(state, [event("clock", at=second) for second in range(40)])
    state.gaps.add(Gap(START + 40 * SECOND, START + 60 * SECOND, "downtime"))
    snapshots = feed(state, [event("clock", at=second) for second in range(60, 90)])
    ends = {(snapshot.end - START) // SECOND: snapshot for snapshot in snapshots}
    assert [end for end, snapshot in ends.items() if snapshot.preceding is None] == list(range(64, 73))
    assert ends[73].preceding_coverage.fraction == pytest.approx(1 / 12)


def test_time_that_only_the_wall_clock_closed_is_said_as_silence() -> None:
    state = windows(idle_timeout=3 * SECOND)
    feed(state, [event("a"), event("a", at=1)])
    ends = [state.close(START + 9 * SECOND) for _ in range(5)]
    assert [[gap.cause for gap in snapshot.coverage.gaps if gap.cause == "silence"] for snapshot in ends] == [
        [], [], [], ["silence"], ["silence"],
    ]  # fmt: skip
    assert ends[-1].coverage.gaps[-1] == Gap(START + SECOND, START + 6 * SECOND, "silence")


@pytest.mark.parametrize(("tone", "cut"), [(1, 2**31 - 1), (-1, -(2**31))])
def test_sums_beyond_int32_are_cut_to_it(tone: int, cut: int) -> None:
    state = windows()
    feed(state, [event("a", "post", valence=tone)])
    state.parts[0].state.add(START // SECOND, np.array([INDEX["valence"]]), np.array([tone << 40]))
    (snapshot,) = feed(state, [event("b", at=1)])
    assert count(snapshot, "a", "valence") == cut
    assert snapshot.current.dtype == np.int32
    assert snapshot.current.shape == (WIDTH, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"length": 13 * SECOND}, "is not a multiple of 12 buckets"),
        ({"length": 12 * SECOND + 1}, "is not a multiple of 12 buckets"),
        ({"bucket": -1}, "bucket is -1"),
        ({"length": 0}, "length is 0"),
        ({"hop": 1_500_000}, "a hop of 1.5 s"),
        ({"hop": 5 * SECOND}, "a hop of 5 s"),
        ({"lateness": -1}, "lateness is -1"),
    ],
)
def test_windows_that_cannot_be_are_refused_in_one_sentence(changes: dict, said: str) -> None:
    with pytest.raises(WindowError, match=said):
        Shape(**({"length": 12 * SECOND, "bucket": SECOND} | changes))


def test_the_least_windows_are_of_twelve_buckets_of_a_microsecond() -> None:
    assert Shape(length=12, bucket=1).fingerprint() == {"length": 12, "bucket": 1, "hop": 1}


def test_the_first_time_is_that_of_the_first_record_that_has_one() -> None:
    records = [None, b"{", b"[]", b'{"kind":"gap"}', b'{"t":"x"}', event("a", at=3).encode(), event("a").encode()]
    assert first_time(records) == START + 3 * SECOND
    assert first_time(records[:5]) is None
