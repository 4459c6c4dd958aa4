"""The real bytes that tests decode: read where they are, never copied. Without them, their tests say so and skip."""

import struct
from pathlib import Path

import pytest
import zstandard

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "jetstream-corpus"


def corpus(name: str) -> Path:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"the Jetstream corpus is not beside this checkout ({name})")
    return path


def raw_frames() -> list[bytes]:
    data = zstandard.ZstdDecompressor().decompressobj().decompress(corpus("frames.bin.zst").read_bytes())
    frames, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        frames.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return frames


def v1_lines(name: str = "expected_v1.jsonl") -> list[bytes]:
    return corpus(name).read_bytes().splitlines()
