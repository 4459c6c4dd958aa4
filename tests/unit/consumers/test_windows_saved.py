"""Windows that are saved and loaded are the same windows: each agent, each bucket, each mark, and where they were."""

from typing import Any

import numpy as np
import pytest

from consumers.sources import Gap
from consumers.windows.group import Windows
from consumers.windows.shape import Shape
from consumers.windows.state import State
from tests.unit.consumers.factories import SECOND, START, count, event, feed

SHAPE = Shape(length=12 * SECOND, bucket=SECOND, lateness=0)


def again(windows: Windows) -> Windows:
    return Windows.load(SHAPE, *windows.dump())


def test_names_of_any_script_come_back() -> None:
    names = sorted(["plain", "späť", "ムクドリ", "з", "🐦", "é"])
    windows = Windows(SHAPE, [0])
    feed(windows, [event(name, "post") for name in names])
    (snapshot,) = feed(again(windows), [event("plain", at=1)])
    assert snapshot.agents == names
    assert [count(snapshot, name, "posts") for name in names] == [1] * len(names)


def test_what_is_late_is_told_after_a_restart_as_it_was_before() -> None:
    windows = Windows(SHAPE, [0])
    feed(windows, [event("a"), event("a", at=100)])
    loaded = again(windows)
    feed(loaded, [event("late", at=90), event("later", at=50)])
    assert (loaded.stats.late, loaded.stats.dropped["too_late"]) == (2, 1)
    (snapshot,) = feed(loaded, [event("a", at=101)])
    assert snapshot.agents == ["a", "late"]


def test_an_agent_who_was_last_seen_before_a_restart_is_evicted_in_time() -> None:
    windows = Windows(SHAPE, [0])
    feed(windows, [event("old"), event("old", at=1), event("new", at=20)])
    loaded = again(windows)
    feed(loaded, [event("new", at=24.5)])
    assert loaded.agents == 2
    feed(loaded, [event("new", at=26)])
    assert (loaded.agents, loaded.evicted) == (1, 1)


def test_the_same_windows_are_saved_as_the_same_values_however_their_gaps_came() -> None:
    gaps = [Gap(START + start, START + end, cause) for start, end, cause in ((5, 9, "x"), (5, 9, "b"), (5, 7, "x"))]
    one, other = Windows(SHAPE, [0]), Windows(SHAPE, [0])
    for windows, order in ((one, gaps), (other, gaps[::-1])):
        windows.begin(START)
        for gap in order:
            windows.gaps.add(gap)
    (common, images), (others_common, others_images) = one.dump(), other.dump()
    assert (common, images[0][0]) == (others_common, others_images[0][0])
    assert again(one).gaps.known == set(gaps)


def test_what_is_saved_holds_integers_only_even_where_nobody_did_anything() -> None:
    for events in ([], [event("a")]):
        windows = Windows(SHAPE, [0])
        windows.begin(START)
        windows.fold(0, [one.encode() for one in events], 0)
        (_, arrays) = windows.dump()[1][0]
        assert {array.dtype.kind for array in arrays.values()} <= {"i", "u"}
        assert again(windows).agents == len(events)


def test_a_lens_is_named_in_every_snapshot_also_after_a_restart() -> None:
    windows = Windows(SHAPE, [0], lens="en")
    feed(windows, [event("a")])
    loaded = Windows.load(SHAPE, *windows.dump(), lens="en")
    (snapshot,) = feed(loaded, [event("a", at=1)])
    assert snapshot.lens == "en"
    assert Windows.load(SHAPE, *windows.dump()).lens == Windows(SHAPE, [0]).lens == "all"


def arrays() -> dict[str, Any]:
    windows = Windows(SHAPE, [0])
    feed(windows, [event("a", "post"), event("b", "post", at=1), event("b", at=2)])
    return windows.parts[0].state.dump()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("cells", np.arange(3)),
        ("amounts", np.ones(1, np.int32)),
        ("buckets", np.array([START // SECOND])),
        ("buckets", START // SECOND + np.arange(9)),
        ("bucket_cells", np.array([1, 1, 1])),
        ("bucket_cells", np.array([], np.int64)),
        ("name_lengths", np.array([1], np.uint32)),
        ("name_lengths", np.array([1, 2], np.uint32)),
        ("names", np.frombuffer(b"aa", np.uint8)),
        ("slots", np.array([1, 1])),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(name: str, other: Any) -> None:
    State(SHAPE).load(arrays(), None)
    with pytest.raises(ValueError, match=r"not of one length|do not agree|twice|argument"):
        State(SHAPE).load(arrays() | {name: other}, None)
