"""What events add to windows: each in its column, acts in a phase, valences in their sums; integers throughout."""

import numpy as np
import pytest

from consumers.windows.delta import WIDTH
from consumers.windows.entries import by_bucket, entries
from consumers.windows.shape import Shape
from engine.columns import COLUMNS, INDEX

SHAPE = Shape(length=24, bucket=1, lateness=0)


def added(counted: list[tuple[int, str, int]], valences: dict[int, float]) -> set[tuple[int, int, str, int]]:
    """The (bucket, slot, column, amount) that events of (slot, column, time) add; valences by their place."""
    arrays = entries(
        [slot * WIDTH + INDEX[column] for slot, column, _ in counted],
        [t for _, _, t in counted],
        list(valences),
        list(valences.values()),
        SHAPE,
    )
    assert all(array.dtype == np.int64 for array in arrays)
    found = [
        (bucket, cell // WIDTH, COLUMNS[cell % WIDTH], amount)
        for bucket, cell, amount in zip(*(array.tolist() for array in arrays), strict=True)
    ]
    assert len(set(found)) == len(found)
    return set(found)


def test_an_act_adds_to_its_column_and_a_phase_and_what_was_received_to_its_column_alone() -> None:
    assert added([(0, "likes", 7), (3, "likes_in", 8), (1, "posts", 49)], {}) == {
        (7, 0, "likes", 1), (7, 0, "phase_03", 1), (8, 3, "likes_in", 1), (49, 1, "posts", 1), (49, 1, "phase_00", 1),
    }  # fmt: skip


def test_a_valence_is_scored_summed_and_an_alarm_from_minus_one_half_down() -> None:
    scored = added([(5, "likes_in", 1), (2, "posts", 2), (4, "posts", 3)], {1: -0.5, 2: 0.12346})
    assert scored - added([(5, "likes_in", 1), (2, "posts", 2), (4, "posts", 3)], {}) == {
        (2, 2, "scored", 1), (2, 2, "valence", -5_000), (2, 2, "alarm", 1),
        (3, 4, "scored", 1), (3, 4, "valence", 1_235),
    }  # fmt: skip


def test_no_events_add_nothing() -> None:
    assert added([], {}) == set()


@pytest.mark.parametrize("order", [[0, 0, 0, 0], [3, 1, 3, 2]])
def test_what_was_added_is_cut_by_bucket_and_keeps_its_order_in_each(order: list[int]) -> None:
    buckets, cells, amounts = np.array(order), np.array([7, 5, 6, 5]), np.array([1, 2, 3, 4])
    pieces = [(bucket, some.tolist(), values.tolist()) for bucket, some, values in by_bucket(buckets, cells, amounts)]
    added_in = {bucket: [place for place, own in enumerate(order) if own == bucket] for bucket in sorted(set(order))}
    assert pieces == [(bucket, cells[places].tolist(), amounts[places].tolist()) for bucket, places in added_in.items()]
