"""What a kill campaign calls a difference between a log and that of a daemon left in peace, and what not."""

from tests.campaigns.verdict import Published

RUNS = {"first": [{"end": 1}], "second": [{"end": 2}]}


def published(*values: tuple[str, str, bytes], buried: frozenset[str] = frozenset()) -> Published:
    return Published(dict(RUNS), {(run, agent): {value} for run, agent, value in values}, set(buried))


WHOLE = published(("first", "ada", b"1"), ("second", "ada", b"2"), ("first", "bob", b"3"))


def differ(one: Published, other: Published) -> int:
    """Return the differences, which are the same seen from either side."""
    assert one.differences(other) == other.differences(one)
    return one.differences(other)


def test_what_is_the_same_does_not_differ() -> None:
    assert differ(WHOLE, WHOLE) == 0


def test_a_value_that_compaction_took_from_either_log_is_no_difference() -> None:
    compacted = published(("second", "ada", b"2"), ("first", "bob", b"3"))
    assert differ(compacted, WHOLE) == 0


def test_a_value_that_a_tombstone_took_is_no_difference() -> None:
    buried = published(("first", "ada", b"1"), ("second", "ada", b"2"), buried=frozenset({"bob"}))
    assert differ(buried, WHOLE) == 0


def test_another_value_and_a_missing_newest_one_differ() -> None:
    other = published(("first", "ada", b"1"), ("second", "ada", b"9"), ("first", "bob", b"3"))
    assert differ(other, WHOLE) == 1
    missing = published(("first", "ada", b"1"), ("first", "bob", b"3"))
    assert differ(missing, WHOLE) == 1


def test_two_forms_of_one_value_differ_and_another_record_too() -> None:
    doubled = published(("first", "ada", b"1"), ("second", "ada", b"2"), ("first", "bob", b"3"))
    doubled.values["first", "bob"].add(b"4")
    assert differ(doubled, WHOLE) == 1
    doubled.runs["second"] = [{"end": 2}, {"end": 2, "agents": 7}]
    assert doubled.differences(WHOLE) == 2
