"""A checkpoint is whole or passed over: every damage is met, and the one before it is used."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.windows.group import Windows
from consumers.windows.shape import Shape
from consumers.worker.checkpoints import Checkpoint, CheckpointError, Checkpoints
from tests.unit.consumers.factories import SECOND, event, feed

SHAPE = Shape(length=12 * SECOND, bucket=SECOND, lateness=0)
FINGERPRINT = {**SHAPE.fingerprint(), "partitions": 1}


def moment(seconds: int) -> Checkpoint:
    windows = Windows(SHAPE, [0])
    feed(windows, [event(f"agent-é{second % 3}", "post", at=second, valence=0.1) for second in range(seconds)])
    common, images = windows.dump()
    return Checkpoint(
        {"windows": common, "offsets": {"0": seconds}}, images, {"cycle": bytes(range(256)), "empty": b""}
    )


def saved(directory: Path, *seconds: int) -> Checkpoints:
    checkpoints = Checkpoints(directory, FINGERPRINT)
    for number in seconds:
        checkpoints.save(moment(number), now=number)
    return checkpoints


def offsets(checkpoints: Checkpoints) -> list[int]:
    return [checkpoint.common["offsets"]["0"] for checkpoint in checkpoints.load()]


def test_what_is_loaded_continues_as_what_was_saved(tmp_path: Path) -> None:
    original = Windows(SHAPE, [0])
    events = [event(f"a{second % 7}", "post", at=second * 0.7, valence=-0.7) for second in range(40)]
    feed(original, [*events, event("gone", "account", at=27.5, status="deleted")])
    common, images = original.dump()
    Checkpoints(tmp_path, FINGERPRINT).save(Checkpoint({"windows": common}, images, {"cycle": b"\x00\xff"}), now=1)
    (checkpoint,) = Checkpoints(tmp_path, FINGERPRINT).load()
    assert checkpoint.blobs == {"cycle": b"\x00\xff"}
    loaded = Windows.load(SHAPE, checkpoint.common["windows"], checkpoint.images)
    after = [event(f"a{second % 5}", "like", at=29 + second) for second in range(30)]
    first, second = feed(original, after), feed(loaded, after)
    assert [one.agents for one in first] == [one.agents for one in second]
    assert all((one.current == other.current).all() for one, other in zip(first, second, strict=True))
    assert [one.erased for one in first] == [one.erased for one in second]
    assert [one.coverage for one in first] == [one.coverage for one in second]
    assert first[0].erased == ["gone"]
    assert (first[-1].preceding == second[-1].preceding).all()


def test_the_newest_two_are_kept_newest_first(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 3, 4, 5)
    assert offsets(checkpoints) == [5, 4]
    assert len(list(tmp_path.iterdir())) == 2
    assert checkpoints.stats.saved == 3
    assert checkpoints.stats.saved_at == 5


FILES = ("manifest.json", "partition-00000.state", "cycle.blob")


@settings(deadline=None)
@given(
    name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), mend=st.sampled_from(("flip", "cut", "grow"))
)
def test_any_damage_to_any_file_falls_back_to_the_checkpoint_before(tmp_path_factory, name, place, mend) -> None:
    directory = tmp_path_factory.mktemp("state")
    saved(directory, 3, 4)
    damaged = directory / f"{2:012d}" / name
    content = bytearray(damaged.read_bytes())
    where = int(place * len(content))
    if mend == "flip":
        content[where] ^= 0x10
    elif mend == "cut":
        del content[where:]
    else:
        content.insert(where, content[where] ^ 1)
    damaged.write_bytes(content)
    checkpoints = Checkpoints(directory, FINGERPRINT)
    assert offsets(checkpoints) == [3]
    assert checkpoints.stats.damaged == 1


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_a_damage(tmp_path: Path, name: str) -> None:
    saved(tmp_path, 3, 4)
    (tmp_path / f"{2:012d}" / name).unlink()
    assert offsets(Checkpoints(tmp_path, FINGERPRINT)) == [3]


def test_a_checkpoint_of_other_windows_is_passed_over(tmp_path: Path) -> None:
    saved(tmp_path, 3)
    other = Checkpoints(tmp_path, FINGERPRINT | {"length": 24 * SECOND})
    assert offsets(other) == []
    assert other.stats.damaged == 1


def test_one_that_was_not_finished_is_not_there_and_is_cleared_away(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 3)
    left = [tmp_path / f".{number:012d}.partial" for number in (2, 9)]
    for place in left:
        place.mkdir()
        (place / "partition-00000.state").write_bytes(b"half")
    assert offsets(checkpoints) == [3]
    checkpoints.save(moment(4), now=4)
    assert offsets(checkpoints) == [4, 3]
    assert not any(place.exists() for place in left)


def test_no_directory_is_no_checkpoint(tmp_path: Path) -> None:
    assert offsets(Checkpoints(tmp_path / "none", FINGERPRINT)) == []


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be written"):
        Checkpoints(tmp_path / "file", FINGERPRINT).save(moment(3), now=3)


def test_no_agent_that_left_is_found_in_the_bytes(tmp_path: Path) -> None:
    windows = Windows(SHAPE, [0])
    feed(windows, [event("secretive", "post"), event("other", at=1), event("other", at=2)])
    feed(windows, [event("secretive", "account", at=2, status="deleted"), event("other", at=3)])
    common, images = windows.dump()
    place = Checkpoints(tmp_path, FINGERPRINT).save(Checkpoint({"windows": common}, images), now=1)
    assert not any(b"secretive" in file.read_bytes() for file in place.iterdir())
