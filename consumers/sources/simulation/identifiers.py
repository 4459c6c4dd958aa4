"""DIDs, TIDs and CIDs for whole arrays at once: valid, unique, and a function of what they name.

A 64-bit mixer (the finaliser of SplitMix64) stands in for every hash. Letters are looked up two at a time.
"""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]

_BASE32 = b"abcdefghijklmnopqrstuvwxyz234567"
_SORTABLE = b"234567abcdefghijklmnopqrstuvwxyz"
_PAIR_SHIFTS = np.arange(50, -1, -10, dtype=np.uint64)
_GOLDEN = 0x9E3779B97F4A7C15
_64_BITS = (1 << 64) - 1
_LOW_10 = np.uint64(1023)


def _pairs(alphabet: bytes) -> NDArray[np.uint16]:
    """Return the two letters of each 10-bit number, as they lie in memory."""
    letters = b"".join(bytes((high, low)) for high in alphabet for low in alphabet)
    return np.frombuffer(letters, dtype=np.uint16)


_BASE32_PAIRS = _pairs(_BASE32)
_SORTABLE_PAIRS = _pairs(_SORTABLE)
_SORTABLE_LETTERS = np.frombuffer(_SORTABLE, dtype=np.uint8)
_CID_FIRST = np.frombuffer(_BASE32[:8], dtype=np.uint8)
_CID_LAST = np.frombuffer(_BASE32[::4], dtype=np.uint8)


def mix(values: Integers | Words, salt: int = 0) -> Words:
    """Return 64 well-mixed bits of each value; another salt gives independent ones."""
    words = values.astype(np.uint64) + np.uint64((salt + 1) * _GOLDEN & _64_BITS)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Words = words ^ (words >> np.uint64(31))
    return mixed


def unit(values: Integers | Words, salt: int = 0) -> NDArray[np.float64]:
    """Return a number in (0, 1) for each value, uniform over values."""
    fractions: NDArray[np.float64] = ((mix(values, salt) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return fractions


def _letters(words: Words, pairs: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the 12 letters of the lower 60 bits of each word: [n, k] gives [n, 12 k]."""
    found: NDArray[np.uint16] = pairs[(words[:, :, None] >> _PAIR_SHIFTS) & _LOW_10]
    return found.reshape(len(words), len(_PAIR_SHIFTS) * words.shape[1]).view(np.uint8)


def _strings(letters: NDArray[np.uint8]) -> list[bytes]:
    width = letters.shape[1]
    strings: list[bytes] = np.ascontiguousarray(letters).view(f"S{width}").ravel().tolist()
    return strings


def dids(accounts: Integers, seed: int) -> list[bytes]:
    """Return the 24 letters after `did:plc:` of each account."""
    words = np.stack((mix(accounts, seed * 2 + 1), mix(accounts, seed * 2 + 2)), axis=1)
    return _strings(_letters(words, _BASE32_PAIRS))


def tids(moments: Integers, clocks: Words) -> list[bytes]:
    """Return the TID of each moment, µs since 1970; the lower ten bits of `clocks` are the clock's identifier."""
    words = (moments.astype(np.uint64) << np.uint64(10)) | (clocks & _LOW_10)
    letters = np.empty((len(words), 13), dtype=np.uint8)
    letters[:, 0] = _SORTABLE_LETTERS[words >> np.uint64(60)]
    letters[:, 1:] = _letters(words[:, None], _SORTABLE_PAIRS)
    return _strings(letters)


def cids(keys: Integers) -> list[bytes]:
    """Return the 52 letters after `bafyrei` of a CID (v1, dag-cbor, sha-256) for each key."""
    words = np.stack([mix(keys, 7_001 + index) for index in range(5)], axis=1)
    letters = _letters(words, _BASE32_PAIRS)[:, :52].copy()
    letters[:, 0] = _CID_FIRST[words[:, 4] & np.uint64(7)]
    letters[:, 51] = _CID_LAST[(words[:, 4] >> np.uint64(3)) & np.uint64(7)]
    return _strings(letters)
