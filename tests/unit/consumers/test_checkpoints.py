"""A checkpoint is whole or passed over: every damage is met, and the one before it is used, on a disk and elsewhere."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from fsspec.core import url_to_fs
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from consumers.windows.group import Windows
from consumers.windows.shape import Shape
from consumers.worker import checkpoints as module
from consumers.worker import places
from consumers.worker.checkpoints import Checkpoint, Checkpoints
from consumers.worker.form import CheckpointError
from consumers.worker.places import PlaceError
from tests.unit.consumers.factories import SECOND, event, feed

SHAPE = Shape(length=12 * SECOND, bucket=SECOND, lateness=0)
FINGERPRINT = {**SHAPE.fingerprint(), "partitions": 1}
CARRIED = ({"h": 0.1}, {"phi": np.arange(3) / 3, "none": np.zeros(0)})


@pytest.fixture(params=["directory", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A directory, and a store of objects that knows no renaming."""
    if request.param == "directory":
        yield str(tmp_path / "state")
        return

    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(MemoryFileSystem, "mv", refuse)
    url = f"memory://{uuid4().hex}/state"
    yield url
    files, root = url_to_fs(url)
    if files.exists(root):
        files.rm(root, recursive=True)


def read(place: str, *path: str) -> bytes:
    files, root = url_to_fs(place)
    content: bytes = files.cat_file("/".join((root, *path)))
    return content


def put(place: str, content: bytes, *path: str) -> None:
    files, root = url_to_fs(place, auto_mkdir=True)
    files.pipe_file("/".join((root, *path)), content)


def everything(place: str) -> dict[str, bytes]:
    """Every file, by its path below the place."""
    files, root = url_to_fs(place)
    return {path.removeprefix(root + "/"): files.cat_file(path) for path in files.find(root)}


def moment(seconds: int) -> Checkpoint:
    windows = Windows(SHAPE, [0])
    feed(windows, [event(f"agent-é{second % 3}", "post", at=second, valence=0.1) for second in range(seconds)])
    common, images = windows.dump()
    return Checkpoint(common, {0: seconds}, images, {0: CARRIED})


def saved(place: str | Path, *seconds: int) -> Checkpoints:
    checkpoints = Checkpoints(place, FINGERPRINT)
    for number in seconds:
        checkpoints.save(moment(number), now=number)
    return checkpoints


def offsets(checkpoints: Checkpoints) -> list[int]:
    return [checkpoint.offsets[0] for checkpoint in checkpoints.load()]


def test_what_is_loaded_continues_as_what_was_saved(place: str) -> None:
    original = Windows(SHAPE, [0])
    events = [event(f"a{second % 7}", "post", at=second * 0.7, valence=-0.7) for second in range(40)]
    feed(original, [*events, event("gone", "account", at=27.5, status="deleted")])
    common, images = original.dump()
    Checkpoints(place, FINGERPRINT).save(Checkpoint(common, {0: 7}, images, {0: CARRIED}), now=1)
    (checkpoint,) = Checkpoints(place, FINGERPRINT).load()
    ((plain, arrays),) = checkpoint.carried.values()
    assert plain == CARRIED[0]
    assert {name: array.tolist() for name, array in arrays.items()} == {"phi": [0, 1 / 3, 2 / 3], "none": []}
    loaded = Windows.load(SHAPE, checkpoint.common, checkpoint.images)
    after = [event(f"a{second % 5}", "like", at=29 + second) for second in range(30)]
    first, second = feed(original, after), feed(loaded, after)
    assert [one.agents for one in first] == [one.agents for one in second]
    assert all((one.current == other.current).all() for one, other in zip(first, second, strict=True))
    assert [one.erased for one in first] == [one.erased for one in second]
    assert [one.coverage for one in first] == [one.coverage for one in second]
    assert first[0].erased == ["gone"]
    assert (first[-1].preceding == second[-1].preceding).all()


def test_the_newest_two_are_kept_newest_first(place: str) -> None:
    checkpoints = saved(place, 3, 4, 5)
    assert offsets(checkpoints) == [5, 4]
    assert {path.partition("/")[0] for path in everything(place)} == {f"{2:012d}", f"{3:012d}"}
    assert checkpoints.stats.saved == 3
    assert checkpoints.stats.saved_at == 5
    assert 0 < checkpoints.stats.seconds < 60
    newest = {path: content for path, content in everything(place).items() if path.startswith(f"{3:012d}/p")}
    assert checkpoints.stats.bytes == sum(map(len, newest.values()))


def test_alone_no_older_one_stays_and_the_newest_is_there_twice(place: str) -> None:
    checkpoints = saved(place, 3, 4)
    checkpoints.save(moment(5), now=5, alone=True)
    assert offsets(checkpoints) == [5, 5]
    put(place, b"", f"{4:012d}", FILES[1])
    assert offsets(checkpoints) == [5]


FILES = ("manifest.json", "partition-00000.images", "partition-00000.carried")


@settings(deadline=None)
@given(
    name=st.sampled_from(FILES),
    at=st.floats(0, 1, exclude_max=True),
    mend=st.sampled_from(("flip", "cut", "grow")),
    remote=st.booleans(),
)
def test_any_damage_to_any_file_falls_back_to_the_checkpoint_before(tmp_path_factory, name, at, mend, remote) -> None:
    place = f"memory://{uuid4().hex}" if remote else str(tmp_path_factory.mktemp("state"))
    saved(place, 3, 4)
    content = bytearray(read(place, f"{2:012d}", name))
    where = int(at * len(content))
    if mend == "flip":
        content[where] ^= 0x10
    elif mend == "cut":
        del content[where:]
    else:
        content.insert(where, content[where] ^ 1)
    put(place, bytes(content), f"{2:012d}", name)
    checkpoints = Checkpoints(place, FINGERPRINT)
    assert offsets(checkpoints) == [3]
    assert checkpoints.stats.damaged == 1


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_a_damage_and_without_a_manifest_there_is_no_checkpoint(place: str, name: str) -> None:
    saved(place, 3, 4)
    files, root = url_to_fs(place)
    files.rm_file(f"{root}/{2:012d}/{name}")
    checkpoints = Checkpoints(place, FINGERPRINT)
    assert offsets(checkpoints) == [3]
    assert checkpoints.stats.damaged == (name != "manifest.json")


def test_a_checkpoint_of_other_windows_is_passed_over(place: str) -> None:
    saved(place, 3)
    other = Checkpoints(place, FINGERPRINT | {"length": 24 * SECOND})
    assert offsets(other) == []
    assert other.stats.damaged == 1


@pytest.mark.parametrize("left", ["partition-00000.images", ".manifest.json.partial"])
def test_one_that_was_not_finished_is_not_there_and_is_cleared_away(place: str, left: str) -> None:
    checkpoints = saved(place, 3)
    for number in (2, 9):
        put(place, b"half", f"{number:012d}", left)
    assert offsets(checkpoints) == [3]
    assert checkpoints.stats.damaged == 0
    checkpoints.save(moment(4), now=4)
    assert offsets(checkpoints) == [4, 3]
    assert b"half" not in everything(place).values()


def test_a_removal_cut_short_leaves_no_checkpoint(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = saved(place, 3, 4)
    removing = checkpoints.place._files.rm_file

    def once(path: str) -> None:
        monkeypatch.setattr(checkpoints.place._files, "rm_file", None)
        removing(path)

    monkeypatch.setattr(checkpoints.place._files, "rm_file", once)
    with pytest.raises(CheckpointError, match="cannot be written"):
        checkpoints.save(moment(5), now=5)
    assert offsets(checkpoints) == [5, 4]
    assert checkpoints.stats.damaged == 0
    assert any(path.startswith(f"{1:012d}/") for path in everything(place))


def test_nothing_there_is_no_checkpoint(place: str) -> None:
    assert offsets(Checkpoints(place, FINGERPRINT)) == []


def test_a_store_that_ends_the_names_of_folders_in_a_slash_is_read_as_any_other(place: str, monkeypatch) -> None:
    checkpoints = saved(place, 3, 4)
    listing = checkpoints.place._files.ls

    def slashed(*asked: object, **how: object) -> list[dict[str, object]]:
        listed = listing(*asked, **how)
        return [one | {"name": one["name"] + "/" * (one["type"] == "directory")} for one in listed]

    monkeypatch.setattr(checkpoints.place._files, "ls", slashed)
    assert offsets(checkpoints) == [4, 3]


def test_a_store_that_cannot_be_asked_is_not_taken_for_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints("memory://asked", FINGERPRINT)

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(checkpoints.place._files, "ls", unreachable)
    with pytest.raises(CheckpointError, match=r"memory://asked cannot be read \(Connection refused\)"):
        offsets(checkpoints)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be written"):
        Checkpoints(tmp_path / "file", FINGERPRINT).save(moment(3), now=3)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nothing://there", "nothing://there is no place that fsspec knows"),
        ("gs://bucket/state", "gs://bucket/state needs a Python package that is not there: Please install gcsfs"),
    ],
)
def test_a_place_that_this_machine_cannot_get_to_is_one_sentence(url: str, said: str) -> None:
    with pytest.raises(PlaceError, match=said):
        Checkpoints(url, FINGERPRINT)


def test_a_file_is_read_in_blocks_and_each_is_told(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints, told = saved(place, 3), []
    monkeypatch.setattr(places, "BLOCK", 10)
    content = checkpoints.place.read(1, FILES[1], told.append)
    assert content == read(place, f"{1:012d}", FILES[1])
    assert (sum(told), max(told)) == (len(content), 10)


def test_what_takes_long_to_read_says_how_far_it_is(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = saved(place, 3)
    monkeypatch.setattr(module, "PATIENCE", 0.02)
    reading = checkpoints.place.read

    def slow(number, name, told):
        time.sleep(0.03)
        return reading(number, name, told)

    monkeypatch.setattr(checkpoints.place, "read", slow)
    with capture_logs() as lines:
        assert offsets(checkpoints) == [3]
    told = [line["read"] for line in lines if line["event"] == "restoring"]
    assert told == sorted(told)
    assert len(told) == 2
    assert told[-1] == checkpoints.stats.to_read == checkpoints.stats.bytes


def test_no_agent_that_left_is_found_in_the_bytes(place: str) -> None:
    windows = Windows(SHAPE, [0])
    feed(windows, [event("secretive", "post"), event("other", at=1), event("other", at=2)])
    feed(windows, [event("secretive", "account", at=2, status="deleted"), event("other", at=3)])
    common, images = windows.dump()
    Checkpoints(place, FINGERPRINT).save(Checkpoint(common, {0: 1}, images), now=1)
    assert everything(place)
    assert not any(b"secretive" in content for content in everything(place).values())
