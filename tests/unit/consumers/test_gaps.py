"""Coverage is what the union of the gaps leaves, microsecond for microsecond."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.gaps import Gaps, gap_record, read_gap, uncovered
from consumers.sources import Gap

gaps = st.builds(
    lambda start, length, cause: Gap(start, start + length, cause),
    st.integers(0, 60),
    st.integers(0, 30),
    st.sampled_from(("seq_jump", "downtime")),
)


@given(st.lists(gaps, max_size=8), st.integers(0, 50), st.integers(1, 50))
def test_overlapping_gaps_count_once(some: list[Gap], start: int, length: int) -> None:
    missing = {t for gap in some for t in range(gap.start, gap.end)} & set(range(start, start + length))
    assert uncovered(some, start, start + length) == len(missing)
    known = Gaps()
    for gap in some * 2:
        known.add(gap)
    coverage = known.coverage(start, start + length)
    assert coverage.fraction == pytest.approx(1 - len(missing) / length)
    assert set(coverage.gaps) == {g for g in some if g.end > g.start and g.start < start + length and g.end > start}
    assert list(coverage.gaps) == sorted(coverage.gaps, key=lambda gap: (gap.start, gap.end, gap.cause))
    distinct = {gap for gap in some if gap.end > gap.start}
    assert known.seen == Counter(gap.cause for gap in distinct)
    assert known.microseconds.total() == sum(gap.end - gap.start for gap in distinct)


def test_gaps_that_no_later_window_touches_are_forgotten() -> None:
    known = Gaps()
    known.add(Gap(0, 10, "x"))
    known.add(Gap(5, 11, "x"))
    known.forget(10)
    assert known.known == {Gap(5, 11, "x")}


@pytest.mark.parametrize("gap", [Gap(3, 9, "seq_jump"), Gap(3, 3, "downtime")])
def test_a_gap_is_read_as_it_was_written(gap: Gap) -> None:
    assert read_gap(gap_record("relay:x", gap)) == gap


def test_a_gaps_record_says_its_source_and_its_turn_where_there_is_one() -> None:
    record = {"v": 1, "kind": "gap", "src": "relay:x", "start": 3, "end": 9, "cause": "seq_jump"}
    assert gap_record("relay:x", Gap(3, 9, "seq_jump")) == record
    assert gap_record("relay:x", Gap(3, 9, "seq_jump"), 7) == {**record, "epoch": 7}


def test_what_is_known_of_beside_the_gaps_counts_for_one_window_alone() -> None:
    known = Gaps()
    known.add(Gap(0, 10, "x"))
    assert known.coverage(0, 40, [Gap(30, 50, "y"), Gap(5, 20, "y")]).fraction == pytest.approx(0.25)
    assert known.coverage(0, 40).gaps == (Gap(0, 10, "x"),)


@pytest.mark.parametrize("change", [{"start": "1"}, {"end": None}, {"start": 10}, {"cause": 3}])
def test_what_is_no_gap_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="a gap has"):
        read_gap(gap_record("relay:x", Gap(3, 9, "seq_jump")) | change)
