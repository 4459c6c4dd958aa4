"""Tables of agents: what is written comes back, two tables meet on names, and bad ones are refused with their place."""

from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import OutputError, TableError
from daemon.offline.tables import StateTable, align, read_state, write_attribution, write_state
from engine.columns import COLUMNS, INDEX
from tests.populations import names, population


def table(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_a_state_comes_back_as_it_was_written(tmp_path):
    columns = population(300, seed=1)
    write_state(tmp_path / "state.parquet", names(300), columns)
    back = read_state(tmp_path / "state.parquet")
    assert back.agents.to_pylist() == names(300)
    assert back.columns.dtype == np.int32
    np.testing.assert_array_equal(back.columns, columns)
    assert pq.read_schema(tmp_path / "state.parquet").names == ["agent", *COLUMNS]


def test_a_state_without_agents_comes_back_empty(tmp_path):
    write_state(tmp_path / "state.parquet", [], np.zeros((26, 0), np.int32))
    assert read_state(tmp_path / "state.parquet").columns.shape == (26, 0)


@pytest.mark.parametrize("width", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_any_width_of_integer_is_read(tmp_path, width):
    path = table(tmp_path / "s.parquet", agent=["a", "b"], posts=pa.array([3, 100], width))
    np.testing.assert_array_equal(read_state(path).columns[INDEX["posts"]], [3, 100])


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_any_kind_of_string_names_an_agent(tmp_path, kind):
    agents = pa.array(["b", "a"]).cast(kind)
    assert read_state(table(tmp_path / "s.parquet", agent=agents, posts=[1, 2])).agents.to_pylist() == ["b", "a"]


def test_absent_columns_are_zeros_and_unknown_ones_are_named(tmp_path):
    state = read_state(table(tmp_path / "s.parquet", followers=[1], agent=["a"], likes=[4]))
    assert state.ignored == ("followers",)
    assert state.columns.sum() == state.columns[INDEX["likes"], 0] == 4


def test_counts_beyond_int32_are_kept(tmp_path):
    path = table(tmp_path / "s.parquet", agent=["a", "b"], posts=[1, 2], likes=[2**31, 7])
    columns = read_state(path).columns
    assert columns.dtype == np.int64
    assert columns[:, 0].tolist() == [1, 0, 0, 0, 2**31] + [0] * 21


def test_row_groups_are_joined_in_their_order(tmp_path):
    whole = pa.table({"agent": names(1000), "posts": list(range(1000))})
    pq.write_table(whole, tmp_path / "s.parquet", row_group_size=64)
    np.testing.assert_array_equal(read_state(tmp_path / "s.parquet").columns[0], np.arange(1000))


def state_of(counts: dict[str, int]) -> StateTable:
    columns = np.zeros((26, len(counts)), np.int32)
    columns[0] = list(counts.values())
    return StateTable(pa.array(list(counts), pa.large_string()), columns)


@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 2**31 - 1), max_size=12),
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 2**31 - 1), max_size=12),
)
def test_two_tables_meet_on_names_and_the_absent_are_zeros(state, baseline):
    agents, current, before = align(state_of(state), state_of(baseline))
    expected = [*state, *(name for name in baseline if name not in state)]
    assert agents.to_pylist() == expected
    assert current[0].tolist() == [state.get(name, 0) for name in expected]
    assert before[0].tolist() == [baseline.get(name, 0) for name in expected]


BAD = {
    "no agents": ({"posts": [1]}, r"has no column 'agent'; it has posts"),
    "numbers for agents": ({"agent": [1, 2]}, r"column 'agent' is int64"),
    "a null agent": ({"agent": ["a", None]}, r"row 2: 'agent' is null"),
    "an empty agent": ({"agent": ["a", "b", ""]}, r"row 3: 'agent' is an empty string"),
    "an agent twice": ({"agent": ["a", "b", "c", "b"]}, r"rows 2 and 4: the agent 'b' stands there twice"),
    "a negative count": ({"agent": ["a", "b"], "likes_in": [0, -3]}, r"row 2: 'likes_in' is -3"),
    "a null count": ({"agent": ["a", "b"], "posts": [None, 3]}, r"row 1: 'posts' is null"),
    "NaN": ({"agent": ["a", "b"], "posts": [0.0, float("nan")]}, r"row 2: 'posts' is NaN"),
    "a fraction": ({"agent": ["a", "b"], "posts": [0.5, 1]}, r"column 'posts' is double"),
    "text": ({"agent": ["a"], "posts": ["1"]}, r"column 'posts' is string"),
    "a column of nulls": ({"agent": ["a"], "posts": pa.nulls(1)}, r"column 'posts' is null"),
    "beyond 64 bits": (
        {"agent": ["a"], "posts": pa.array([2**63], "uint64")},
        r"row 1: 'posts' is 9223372036854775808",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_a_state_is_refused_with_file_place_and_cause(tmp_path, case):
    columns, message = BAD[case]
    path = table(tmp_path / "s.parquet", **columns)
    with pytest.raises(TableError, match=message) as refused:
        read_state(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_valence_alone_may_be_negative(tmp_path):
    path = table(tmp_path / "s.parquet", agent=["a"], posts=[1], scored=[1], valence=[-9000])
    assert read_state(path).columns[INDEX["valence"], 0] == -9000


def test_a_column_that_stands_twice_is_refused(tmp_path):
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), pa.array([2])], ["agent", "posts", "posts"])
    pq.write_table(twice, tmp_path / "s.parquet")
    with pytest.raises(TableError, match="2 columns named 'posts'"):
        read_state(tmp_path / "s.parquet")


def test_files_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("agent,posts\na,1\n")
    whole = table(tmp_path / "whole", agent=names(5000), posts=list(range(5000))).read_bytes()
    (tmp_path / "cut").write_bytes(whole[:-500])
    (tmp_path / "rotten").write_bytes(whole[:20_000] + bytes(4000) + whole[24_000:])
    for name, cause in [
        ("missing", "does not exist"),
        ("empty", "empty"),
        ("text", "not a readable Parquet"),
        ("cut", "not a readable Parquet"),
        ("rotten", "cannot be read|not a readable Parquet"),
        (".", "is a directory"),
    ]:
        with pytest.raises(TableError, match=cause) as refused:
            read_state(tmp_path / name)
        assert "\n" not in str(refused.value)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    out = tmp_path / "phi.parquet"
    write_attribution(out, pa.array(["a"], pa.large_string()), np.array([1.0]))
    before = out.read_bytes()

    def full_disk(_table: pa.Table, where: IO[bytes], **_options: object) -> None:
        where.write(before[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_attribution(out, pa.array(["b"], pa.large_string()), np.array([2.0]))
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["phi.parquet"]


def test_an_output_that_cannot_be_is_refused(tmp_path):
    for path, cause in [(tmp_path / "no" / "s.parquet", "no directory"), (tmp_path, "is a directory")]:
        with pytest.raises(OutputError, match=cause):
            write_state(path, ["a"], np.zeros((26, 1), np.int32))
