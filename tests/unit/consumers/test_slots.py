from consumers.windows.slots import Slots


def test_a_table_that_is_full_grows_and_keeps_every_agent() -> None:
    slots = Slots()
    names = [f"did:plc:{number:05d}" for number in range(3 * slots.capacity)]
    taken = {name: slots.take(name) for name in names}
    assert slots.of == taken
    assert sorted(taken.values()) == list(range(len(names)))
    assert slots.names[slots.by_name()].tolist() == names
