import json
from decimal import Decimal

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from daemon.runs.attributions import Attributions
from daemon.runs.encoding import entries, tombstones
from daemon.runs.records import AttributionRecord

FLOATS = st.floats(-1e300, 1e300)
NAMES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique=True, max_size=8).map(sorted)


@st.composite
def tables(draw: st.DrawFn) -> Attributions:
    agents = draw(NAMES)
    size = len(agents)
    keys = draw(
        st.sets(st.tuples(st.sampled_from(["polarization", 'a"%d', "ü,"]), st.sampled_from(["neutral", "preceding"])))
    )
    column = st.lists(FLOATS, min_size=size, max_size=size)
    return Attributions(
        agents=agents,
        phi={key: np.array(draw(column), dtype=np.float64) for key in sorted(keys)},
        tiers=np.array(draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)), dtype=np.uint8),
        visibility=np.array(draw(st.lists(st.integers(0, 2**62), min_size=size, max_size=size)), dtype=np.int64),
    )


@given(tables(), st.text(st.characters(codec="utf-8"), max_size=5))
def test_records_are_what_the_model_says_and_what_the_table_holds(table: Attributions, run: str) -> None:
    for entry in entries(table, np.arange(len(table.agents)), run, "all%s"):
        assert entry.value is not None
        record = AttributionRecord.model_validate_json(entry.value)
        assert entry.key == record.agent.encode()
        assert {"v": 1, "run": run, "lens": "all%s", **(table.agent(record.agent) or {})} == orjson.loads(entry.value)


@given(FLOATS)
def test_a_float_reads_back_to_the_same_bits(phi: float) -> None:
    table = Attributions(["a"], {("p", "neutral"): np.array([phi])}, np.zeros(1, np.uint8), np.zeros(1, np.int64))
    (entry,) = entries(table, np.arange(1), "r", "all")
    assert entry.value is not None
    text = json.loads(entry.value, parse_float=Decimal, parse_int=Decimal)["level"]["p"]
    assert np.float64(float(text)).tobytes() == np.float64(phi).tobytes()


def test_rows_come_in_the_order_asked_for() -> None:
    table = Attributions(list("abc"), {("p", "neutral"): np.arange(3.0)}, np.zeros(3, np.uint8), np.arange(3))
    assert [entry.key for entry in entries(table, np.array([2, 0]), "r", "all")] == [b"c", b"a"]
    assert entries(table, np.array([], dtype=np.int64), "r", "all") == []


def test_change_is_absent_without_a_preceding_window() -> None:
    table = Attributions(["a"], {("p", "neutral"): np.zeros(1)}, np.zeros(1, np.uint8), np.zeros(1, np.int64))
    (entry,) = entries(table, np.arange(1), "r", "all")
    assert entry.value is not None
    assert b"change" not in entry.value
    assert AttributionRecord.model_validate_json(entry.value).change is None


def test_a_tombstone_has_a_key_and_no_value() -> None:
    (entry,) = tombstones(["did:plc:é"])
    assert (entry.key, entry.value) == ("did:plc:é".encode(), None)
