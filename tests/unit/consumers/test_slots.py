import numpy as np
import pytest

from consumers.windows.slots import Slots


def test_a_table_that_is_full_grows_and_keeps_every_agent() -> None:
    slots = Slots()
    names = [f"did:plc:{number:05d}" for number in range(3 * slots.capacity)]
    taken = {name: slots.take(name) for name in names}
    assert slots.of == taken
    assert sorted(taken.values()) == list(range(len(names)))
    assert slots.names[slots.by_name()].tolist() == names


def by_name(slots: Slots) -> list[str]:
    return slots.names[slots.by_name()].tolist()


def test_a_table_that_grew_after_it_was_read_still_gives_every_agent() -> None:
    slots = Slots()
    names = [f"did:plc:{number:05d}" for number in range(slots.capacity + 1)]
    for name in names[:-1]:
        slots.take(name)
    assert by_name(slots) == names[:-1]
    slots.take(names[-1])
    assert by_name(slots) == names


def test_who_came_and_left_between_two_readings_is_in_neither() -> None:
    slots = Slots()
    slots.take("stays")
    slots.free(slots.take("passes"))
    assert by_name(slots) == ["stays"]
    assert len(slots) == 1


@pytest.mark.parametrize("count", [0, 1, 1_024, 5_000])
def test_a_restored_table_holds_the_same_agents_and_has_room_where_others_left(count: int) -> None:
    slots = Slots()
    for number in range(count):
        slots.take(f"did:plc:{number:05d}")
    left = [f"did:plc:{number:05d}" for number in range(0, count - 1, 7)]
    for name in left:
        slots.free(slots.of[name])
    again = Slots()
    again.restore(slots.by_name(), by_name(slots))
    assert (again.of, again.used) == (slots.of, slots.used)
    assert by_name(again) == by_name(slots)
    newcomers = [f"new:{number:05d}" for number in range(len(left))]
    for name in newcomers:
        again.take(name)
    assert again.used == slots.used
    again.take("one more")
    assert again.used == slots.used + 1
    assert by_name(again) == sorted([*slots.of, *newcomers, "one more"])
    assert len(set(again.of.values())) == len(again)


@pytest.mark.parametrize(
    ("numbers", "names"), [([0, 1], ["a", "a"]), ([1, 1], ["a", "b"]), ([0], ["a", "b"]), ([0, 1], ["a"])]
)
def test_a_table_that_contradicts_itself_is_not_restored(numbers: list[int], names: list[str]) -> None:
    with pytest.raises(ValueError, match=r"twice|argument"):
        Slots().restore(np.array(numbers), names)
