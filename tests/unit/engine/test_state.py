"""A State is whole numbers, none negative but valence, and a silent agent is zero throughout."""

import numpy as np
import pytest
import torch

from engine.columns import ACTS, COLUMNS, INDEX, RECEIVED
from engine.errors import StateError
from engine.state import State
from tests.populations import population


def state(n: int = 50, seed: int = 1) -> State:
    return State(torch.from_numpy(population(n, seed)))


def test_columns_absent_are_zeros_and_those_given_are_kept() -> None:
    made = State.from_columns({"posts": np.array([3, 0, 1]), "valence": torch.tensor([-5, 0, 2])}, 3)
    assert made["posts"].tolist() == [3, 0, 1]
    assert made["valence"].tolist() == [-5, 0, 2]
    assert made["likes"].tolist() == [0, 0, 0]
    assert made.columns.dtype == torch.int32


def test_counts_beyond_int32_make_the_table_int64() -> None:
    made = State.from_columns({"likes": np.array([2**40, 1])}, 2)
    assert made.columns.dtype == torch.int64
    assert made["likes"].tolist() == [2.0**40, 1.0]


def test_sums_of_counts_at_the_end_of_int32_do_not_wrap() -> None:
    most = 2**31 - 1
    made = State(torch.full((len(COLUMNS), 3), most, dtype=torch.int32))
    assert made.received.tolist() == [5.0 * most] * 3
    assert made.acts.tolist() == [6.0 * most] * 3
    assert made.total("reposts_in", "quotes_in").tolist() == [2.0 * most] * 3
    assert made.active.tolist() == [1.0] * 3


def test_derived_columns_are_the_sums_that_the_design_names() -> None:
    made = state()
    table = made.columns.numpy().astype(np.int64)
    assert made.received.tolist() == table[[INDEX[name] for name in RECEIVED]].sum(0).tolist()
    assert made.acts.tolist() == table[[INDEX[name] for name in ACTS]].sum(0).tolist()
    assert made.active.tolist() == (table[:11] > 0).any(0).tolist()


def test_a_part_that_reuses_scratch_gives_its_own_agents() -> None:
    made = state(90)
    scratch: dict[str, torch.Tensor] = {}
    for start, stop in ((0, 40), (40, 80), (80, 90)):
        part = made.part(start, stop, scratch)
        assert torch.equal(part.received, made.received[start:stop])
        assert torch.equal(part["likes"], made["likes"][start:stop])


def test_rows_that_are_counts_sum_exactly_whatever_their_size() -> None:
    columns = torch.zeros((len(COLUMNS), 5), dtype=torch.int32)
    columns[INDEX["posts"]] = 2**31 - 1
    columns[INDEX["likes"]] = 7
    made = State(columns)
    assert float(made.row_sum(made.columns[INDEX["posts"]])) == 5 * (2.0**31 - 1)
    assert float(made.row_sum(made.columns[INDEX["likes"]])) == 35.0
    assert float(made.row_sum(made.columns[INDEX["likes"]] * 300_000_000)) == 5 * 2_100_000_000.0


def test_what_a_silent_agent_left_behind_counts_for_nothing() -> None:
    made = State.from_columns({"posts": np.array([0, 1]), "scored": np.array([4, 1]), "phase_03": np.array([2, 1])}, 2)
    assert made["scored"].tolist() == [0, 1]
    assert made["phase_03"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"posts": np.array([1, -1])}, "posts of agent 1 is -1"),
        ({"posts": np.array([1.0, np.nan])}, "posts of agent 1 is nan"),
        ({"posts": np.array([np.inf, 1.0])}, "posts of agent 0 is inf"),
        ({"posts": np.array([0.5, 1.0])}, "posts of agent 0 is 0.5"),
        ({"posts": np.array([1, 2, 3])}, "has the shape \\[3\\]"),
        ({"boosts": np.array([1, 2])}, "'boosts' is not one"),
        ({"posts": np.array([1j, 2])}, "complex"),
    ],
)
def test_a_column_that_is_not_one_is_named(columns: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(StateError, match=message):
        State.from_columns(columns, 2)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (torch.zeros((3, 4), dtype=torch.int32), "shape"),
        (torch.zeros(26, dtype=torch.int32), "shape"),
        (torch.zeros((26, 4)), "float32"),
        (np.zeros((26, 4), np.int32), "ndarray"),
    ],
)
def test_a_table_that_is_not_one_is_refused(table: torch.Tensor, message: str) -> None:
    with pytest.raises(StateError, match=message):
        State(table)


def test_columns_far_apart_in_memory_are_made_contiguous() -> None:
    table = torch.from_numpy(population(8, 1)).T.contiguous().T
    assert State(table).columns.stride(1) == 1
    assert torch.equal(State(table).columns, table)
