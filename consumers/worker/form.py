"""The form of a checkpoint's files, as bytes and back: what comes back is what went in, or it is refused.

One file holds the image of one partition, and one, the manifest, what is common and the size and SHA-256 of each
other. The manifest carries a seal of its own.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from consumers.windows.group import Image
from consumers.worker.places import Piece

VERSION = 2
_MAGIC = b"starlingd-state-1\n"


class CheckpointError(Exception):
    """A checkpoint that cannot be read or written; the message is one sentence."""


def pieces_of(image: Image) -> list[Piece]:
    """Return an image as bytes: a line that says what it is, a line of JSON, and the arrays one after another."""
    plain, arrays = image
    ordered = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    forms = [[name, array.dtype.str, array.shape] for name, array in ordered.items()]
    head = orjson.dumps({"plain": plain, "arrays": forms})
    return [_MAGIC, head, b"\n", *(array.reshape(-1).view(np.uint8).data for array in ordered.values() if array.size)]


def image_of(content: bytes) -> Image:
    """Return the image again."""
    magic, head, _ = content[: len(_MAGIC)], *content[len(_MAGIC) :].split(b"\n", 1)
    if magic != _MAGIC:
        raise CheckpointError("one of its files is no state")
    document = orjson.loads(head)
    at = len(_MAGIC) + len(head) + 1
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, form, shape in document["arrays"]:
        dtype = np.dtype(form)
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(content, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return document["plain"], arrays


def entry_of(pieces: Sequence[Piece]) -> dict[str, Any]:
    """Return what the manifest says of a file of these bytes."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return {"size": sum(len(piece) for piece in pieces), "sha256": digest.hexdigest()}


def agrees(content: bytes, entry: Mapping[str, Any]) -> bool:
    """Tell whether a file is as the manifest says."""
    return entry_of([content]).items() <= entry.items()


def sealed(manifest: Mapping[str, Any]) -> list[Piece]:
    """Return a manifest as bytes."""
    body = orjson.dumps({"v": VERSION, **manifest}, option=orjson.OPT_SORT_KEYS)
    return [hashlib.sha256(body).hexdigest().encode(), b"\n", body]


def unsealed(content: bytes) -> dict[str, Any]:
    """Return the manifest again."""
    seal, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != seal:
        raise CheckpointError("its manifest is damaged")
    manifest: dict[str, Any] = orjson.loads(body)
    if manifest["v"] != VERSION:
        raise CheckpointError(f"its version is {manifest['v']}, and this is {VERSION}")
    return manifest
