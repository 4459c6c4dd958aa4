"""The bridge's place on disk: what was saved comes back, and anything else is as good as nothing."""

from pathlib import Path

import orjson
import pytest

from consumers.bridge.cursors import CursorFile, Position, Waypoint

SRC = "relay:one.example,two.example/path"
PLACE = Position(7, 1_000, [Waypoint(400, {0: 3, 11: 9}, 2), Waypoint(900, {0: 5, 11: 9}, 4)], 4)


@pytest.mark.parametrize("place", [PLACE, Position(None), Position(0, 0, [], 0)])
def test_what_was_saved_is_loaded(tmp_path: Path, place: Position) -> None:
    CursorFile(tmp_path / "new" / "directory", SRC).save(place)
    assert CursorFile(tmp_path / "new" / "directory", SRC).load() == place


def test_a_place_is_replaced_whole_and_each_source_has_its_own_file(tmp_path: Path) -> None:
    file, other = CursorFile(tmp_path, SRC), CursorFile(tmp_path, "relay:one.example")
    file.save(PLACE)
    other.save(Position(3))
    file.save(Position(8))
    assert (file.load(), other.load()) == (Position(8), Position(3))
    assert sorted(tmp_path.iterdir()) == sorted([file.path, other.path])


def test_no_file_is_no_place(tmp_path: Path) -> None:
    assert CursorFile(tmp_path, SRC).load() is None
    assert CursorFile(tmp_path / "none", SRC).load() is None


def saved(directory: Path) -> dict:
    CursorFile(directory, SRC).save(PLACE)
    return orjson.loads(CursorFile(directory, SRC).path.read_bytes())


@pytest.mark.parametrize(
    "change",
    [{"v": 2}, {"src": "relay:other"}, *({"trail": trail} for trail in (None, [3], [[1, {"x": 2}, 3]], [[1, 2]]))],
)
def test_what_is_of_another_version_or_source_or_damaged_is_no_place(tmp_path: Path, change: dict) -> None:
    document = saved(tmp_path)
    assert document["src"] == SRC
    path = CursorFile(tmp_path, SRC).path
    path.write_bytes(orjson.dumps(document))
    assert CursorFile(tmp_path, SRC).load() == PLACE
    path.write_bytes(orjson.dumps(document | change))
    assert CursorFile(tmp_path, SRC).load() is None


@pytest.mark.parametrize("name", ["v", "src", "cursor", "t", "trail", "epoch"])
def test_a_place_of_which_something_is_missing_is_none(tmp_path: Path, name: str) -> None:
    document = saved(tmp_path)
    del document[name]
    CursorFile(tmp_path, SRC).path.write_bytes(orjson.dumps(document))
    assert CursorFile(tmp_path, SRC).load() is None


def test_a_place_that_cannot_be_read_is_none_and_one_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    file = CursorFile(tmp_path, SRC)
    file.path.mkdir()
    assert file.load() is None
    with pytest.raises(OSError, match="directory"):
        file.save(PLACE)
