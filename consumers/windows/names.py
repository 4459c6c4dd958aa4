"""Names as arrays and back, for what is saved: all bytes in one piece, and the length of each name."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def packed(names: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return the names' bytes, one after another, and the length of each in bytes."""
    text = "".join(names)
    sizes = map(len, names) if text.isascii() else (len(name.encode()) for name in names)
    return np.frombuffer(text.encode(), np.uint8), np.fromiter(sizes, np.uint32, len(names))


def unpacked(content: NDArray[np.generic], lengths: NDArray[np.generic]) -> list[str]:
    """Return the names again. Raises ValueError where the two arrays do not agree."""
    blob = content.tobytes()
    bounds = [0, *np.cumsum(lengths, dtype=np.int64).tolist()]
    if bounds[-1] != len(blob):
        raise ValueError("the names and their lengths do not agree")
    if not blob.isascii():
        return [blob[first:last].decode() for first, last in pairwise(bounds)]
    text = blob.decode()
    return [text[first:last] for first, last in pairwise(bounds)]
