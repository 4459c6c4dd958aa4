import pytest
from pydantic import ValidationError

from daemon.runs.records import AttributionRecord, fingerprint, run_id, schemas

END = 1_783_175_880_000_000


def test_a_run_id_reads_as_lens_and_window_end() -> None:
    assert run_id("all", END, "0123abcd") == "all-20260704T143800Z-0123abcd"
    assert run_id("all", END + 250_000, "0123abcd") == "all-20260704T143800.250000Z-0123abcd"


def test_a_fingerprint_depends_on_values_and_not_on_their_order() -> None:
    one = fingerprint({"method": "oceanic", "whales": 6})
    assert one == fingerprint({"whales": 6, "method": "oceanic"})
    assert one != fingerprint({"whales": 7, "method": "oceanic"})
    assert len(one) == 8
    int(one, 16)


def test_a_record_refuses_what_it_does_not_name() -> None:
    good = {"run": "r", "lens": "all", "agent": "a", "tier": "head", "visibility": 1, "level": {}}
    AttributionRecord.model_validate(good)
    for wrong in ({"tier": "neck"}, {"visibility": -1}, {"v": 2}, {"text": "hello"}, {"level": {"p": float("nan")}}):
        with pytest.raises(ValidationError):
            AttributionRecord.model_validate(good | wrong)


def test_the_schemas_name_every_topic_of_records() -> None:
    named = schemas()
    assert named["attributions"]["required"] == ["run", "lens", "agent", "tier", "visibility", "level"]
    assert "watermark_lag" in named["runs"]["properties"]
    assert all(schema["additionalProperties"] is False for schema in named.values())
