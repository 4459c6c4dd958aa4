"""Coverage is what the union of the gaps leaves, microsecond for microsecond."""

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
    assert known.seen.total() == len({gap for gap in some if gap.end > gap.start})


def test_gaps_that_no_later_window_touches_are_forgotten() -> None:
    known = Gaps()
    known.add(Gap(0, 10, "x"))
    known.add(Gap(5, 11, "x"))
    known.forget(10)
    assert known.known == {Gap(5, 11, "x")}


def test_a_gap_is_read_as_it_was_written() -> None:
    gap = Gap(3, 9, "seq_jump")
    assert read_gap(gap_record("relay:x", gap)) == gap


@pytest.mark.parametrize("change", [{"start": "1"}, {"end": None}, {"start": 10}, {"cause": 3}])
def test_what_is_no_gap_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="a gap has"):
        read_gap(gap_record("relay:x", Gap(3, 9, "seq_jump")) | change)
