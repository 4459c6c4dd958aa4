import gzip
import json
import struct
from pathlib import Path

import pytest
import zstandard

from consumers.scoring import no_score
from consumers.sources import Delivery, SourceError
from consumers.sources.recording import MAX_PIECE_BYTES, RecordedSource
from tests.unit.consumers.corpus import corpus, raw_frames, v1_lines
from tests.unit.consumers.frames import commit_frame, like_line

NOW = 1_800_000_000_000_000


def recorded(path: Path) -> RecordedSource:
    return RecordedSource(path, score=no_score, now=NOW)


async def read(path: Path, cursor: int | None = None) -> list[Delivery]:
    return [delivery async for delivery in recorded(path).deliveries(cursor)]


def total(deliveries: list[Delivery]) -> tuple[int, int, list[str]]:
    reasons = [rejected.reason for delivery in deliveries for rejected in delivery.rejected]
    return sum(d.operations for d in deliveries), sum(d.accepted for d in deliveries), reasons


def packed(frames: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(frame)) + frame for frame in frames)


COMPRESSIONS = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("form", ["lines", "frames"])
async def test_a_recording_is_read_by_what_it_holds_whatever_its_name(tmp_path, compression, form):
    data = b"\n".join([like_line()] * 3) + b"\n" if form == "lines" else packed([commit_frame(seq=n) for n in range(3)])
    path = tmp_path / "recording"
    path.write_bytes(COMPRESSIONS[compression](data))
    assert total(await read(path)) == (3, 3, [])
    protocol = "jetstream1" if form == "lines" else "relay"
    assert recorded(path).name == f"{protocol}:file:recording"


async def test_the_corpus_gives_the_same_events_as_frames_and_as_lines():
    key = lambda event: (event.agent, event.role, event.kind, event.peer, event.rev, event.uri, event.status)  # noqa: E731
    frames = [event for d in await read(corpus("frames.bin.zst")) for event in d.events]
    lines = [event for d in await read(corpus("expected_v1.jsonl")) for event in d.events]
    assert [key(event) for event in frames] == [key(event) for event in lines]
    assert len(frames) > 250


async def test_every_member_of_a_compressed_file_is_read(tmp_path):
    path = tmp_path / "members.gz"
    path.write_bytes(gzip.compress(like_line() + b"\n") + gzip.compress(like_line() + b"\n"))
    assert total(await read(path)) == (2, 2, [])


async def test_a_cursor_resumes_after_the_line_it_names(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"".join(like_line(rkey=f"a{n}") + b"\n" for n in range(1_203)))
    whole = await read(path)
    rest = await read(path, cursor=1_000)
    assert [event.uri for d in whole for event in d.events][2_000:] == [event.uri for d in rest for event in d.events]
    assert whole[-1].cursor == rest[-1].cursor == 1_203


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
async def test_a_truncated_compressed_tail_is_one_rejected_and_the_rest_is_kept(tmp_path, compression):
    lines = v1_lines() * 5  # over one block of zstd, which gives whole blocks only
    data = COMPRESSIONS[compression](b"\n".join(lines) + b"\n")
    path = tmp_path / "cut"
    path.write_bytes(data[:-20])
    _, accepted, reasons = total(await read(path))
    assert reasons == ["truncated"]
    assert accepted > 100


async def test_a_truncated_frame_at_the_end_is_one_rejected(tmp_path):
    path = tmp_path / "frames.bin"
    path.write_bytes(packed([commit_frame(seq=1), commit_frame(seq=2)])[:-5])
    assert total(await read(path)) == (2, 1, ["truncated"])


async def test_damage_inside_is_rejected_and_what_follows_is_read(tmp_path):
    path = tmp_path / "lines.jsonl"
    long = b'{"' + b"x" * MAX_PIECE_BYTES + b'"}'
    path.write_bytes(b"\n".join([like_line(), b"{oops", b"", long, like_line()]))
    assert total(await read(path)) == (4, 2, ["not_json", "oversize_frame"])


async def test_an_oversize_frame_is_skipped(tmp_path):
    path = tmp_path / "frames.bin"
    path.write_bytes(packed([commit_frame(seq=1), b"\x00" * (MAX_PIECE_BYTES + 1), commit_frame(seq=2)]))
    assert total(await read(path)) == (3, 2, ["oversize_frame"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"\x28\xb5\x2f\xfdnonsense", "cannot be decompressed"),
        (b"a,b,c\n1,2,3\n", "holds neither"),
    ],
)
def test_a_file_of_which_nothing_can_be_read_is_one_clear_sentence(tmp_path, content, says):
    path = tmp_path / "recording.dat"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=says) as caught:
        recorded(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_or_a_folder_is_one_clear_sentence(tmp_path):
    for path in (tmp_path / "absent.jsonl", tmp_path):
        with pytest.raises(SourceError, match="cannot be read"):
            recorded(path)


async def test_raw_frames_take_the_time_of_the_frame():
    frames = raw_frames()
    deliveries = await read(corpus("frames.bin.zst"))
    assert deliveries[0].events[0].t == 1_783_175_887_517_000
    assert sum(d.frames for d in deliveries) == len(frames)
    assert json.loads(deliveries[0].events[0].encode())["seq"] == 31_527_015_322
