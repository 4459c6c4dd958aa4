"""Durations read and written as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.durations import DurationError, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1h", 3_600_000_000),
        ("90s", 90_000_000),
        ("1h30m", 5_400_000_000),
        ("1.5s", 1_500_000),
        ("250ms", 250_000),
        ("7us", 7),
        ("14d", 14 * 86_400_000_000),
        (" 0s ", 0),
    ],
)
def test_a_number_and_a_unit_are_read(text: str, microseconds: int) -> None:
    assert parse_duration(text) == microseconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1s", "1 hour", "1h 30m", "1e3s", "٣s", "999999d"])
def test_anything_else_is_refused_with_the_text_named(text: str) -> None:
    with pytest.raises(DurationError, match=r"duration|ten years") as refused:
        parse_duration(text)
    assert repr(text) in str(refused.value)


@given(st.integers(0, 10 * 365 * 86_400_000_000))
def test_what_is_written_is_read_back(microseconds: int) -> None:
    assert parse_duration(format_duration(microseconds)) == microseconds
