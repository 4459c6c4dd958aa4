"""Room is used again, but never while anybody holds it, and little is kept."""

import gc

import numpy as np
import pytest
import torch

from engine import memory
from engine.memory import room

CPU = torch.device("cpu")
LARGE = (1 << 18,)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_free", {})


def test_what_nobody_holds_is_given_again() -> None:
    first = room(LARGE, CPU)
    place = first.data_ptr()
    del first
    assert room(LARGE, CPU).data_ptr() == place


def test_a_view_and_an_array_hold_what_they_lie_in() -> None:
    matrix = room((2, 1 << 18), CPU)
    place = matrix.data_ptr()
    row, array = matrix[1], matrix[0].numpy()
    del matrix
    gc.collect()
    row.fill_(1.0)
    array[:] = 2.0
    other = room((2, 1 << 18), CPU)
    assert other.data_ptr() != place
    other.fill_(3.0)
    assert float(row.sum()) == len(row)
    assert np.all(array == 2.0)
    del row
    gc.collect()
    assert not memory._free
    del array
    gc.collect()
    assert room((2, 1 << 18), CPU).data_ptr() == place


def test_what_is_much_too_large_is_left_for_others() -> None:
    large = room((1 << 21,), CPU)
    place = large.data_ptr()
    del large
    assert room(LARGE, CPU).data_ptr() != place


def test_eight_pieces_are_kept_at_most_and_the_oldest_go_first() -> None:
    held = [room((1 << 18 << number,), CPU, torch.int8) for number in range(2, 5) for _ in range(4)]
    sizes = [each.numel() for each in held]
    while held:
        held.pop(0)
    kept = [len(piece) for piece in memory._free.values()]
    assert len(kept) == 8
    assert [int(size * memory._HEADROOM) + memory._LINE for size in sizes[4:]] == kept


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.int32])
def test_rooms_have_their_shape_and_type_and_begin_a_cache_line(dtype: torch.dtype) -> None:
    for shape in ((3, 5), (3, 1 << 18)):
        given = room(shape, CPU, dtype)
        assert (tuple(given.shape), given.dtype) == (shape, dtype)
        assert given.data_ptr() % 64 == 0 or given.numel() < 100
