"""A bucket's counts: each cell once, its amounts summed, in as few bytes as they need."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.windows.delta import WIDTH, Delta


def held(delta: Delta) -> dict[int, int]:
    delta.settle()
    assert (np.diff(delta.cells) > 0).all()
    return dict(zip(delta.cells.tolist(), delta.amounts.tolist(), strict=True))


def added(*pieces: tuple[list[int], list[int]]) -> Delta:
    delta = Delta()
    for cells, amounts in pieces:
        delta.add(np.array(cells, np.int64), np.array(amounts, np.int64))
    return delta


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(-5, 5)), min_size=1, max_size=400), st.integers(1, 7))
def test_a_bucket_sums_what_was_added_to_each_cell_whatever_the_pieces(entries, size) -> None:
    pieces = [entries[start : start + size] for start in range(0, len(entries), size)]
    delta = added(*(([cell for cell, _ in piece], [amount for _, amount in piece]) for piece in pieces))
    expected: dict[int, int] = {}
    for cell, amount in entries:
        expected[cell] = expected.get(cell, 0) + amount
    assert delta.slots().tolist() == sorted({cell // WIDTH for cell in expected})
    assert held(delta) == expected


def test_what_was_added_bit_by_bit_takes_room_by_cells_and_not_by_additions() -> None:
    delta = added(*[([3], [1])] * 1_000)
    assert len(delta.pending) < 100
    assert held(delta) == {3: 1_000}
    assert delta.pending == []


@pytest.mark.parametrize(
    ("amount", "bits"),
    [(1, 32), (2**31 - 1, 32), (2**31, 64), (-(2**31), 32), (-(2**31) - 1, 64)],
)
def test_amounts_take_32_bits_where_they_fit(amount: int, bits: int) -> None:
    delta = added(([1, 2], [amount, 0]))
    assert held(delta) == {1: amount, 2: 0}
    assert delta.amounts.dtype.itemsize * 8 == bits
    assert delta.cells.dtype == np.int32


def test_one_slot_is_erased_and_its_neighbours_stay() -> None:
    cells = [0, WIDTH - 1, WIDTH, WIDTH + 5, 2 * WIDTH - 1, 2 * WIDTH, 3 * WIDTH]
    delta = added((cells, [1] * len(cells)))
    delta.erase(1)
    assert held(delta) == {0: 1, WIDTH - 1: 1, 2 * WIDTH: 1, 3 * WIDTH: 1}
    delta.erase(1)
    delta.erase(9)
    assert delta.slots().tolist() == [0, 2, 3]


def test_an_empty_bucket_touches_no_slot() -> None:
    assert added().slots().tolist() == []
    assert added().cells.dtype == added().amounts.dtype == np.int32
