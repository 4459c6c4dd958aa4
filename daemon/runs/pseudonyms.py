"""Pseudonyms: under one secret key an account has one name in all that the daemon publishes, and nobody reads it back.

A pseudonym is `p:` and 128 bits of BLAKE2b, keyed, in lower-case base32hex, whose order is that of the bits. It stands
in keys and values of the attributions and runs topics, in the API and on the page. Records are written in the order
of the pseudonyms: the order of the names behind them would say something of them.

The events topic and the checkpoints keep the accounts' own names: they are the daemon's memory, and not published.
A pseudonym is not anonymity: who reads the public network too can count what an account received and look for the
same figures. It keeps names out of what is shared; who may read it is still to be chosen.

With the mode, or another key, turned on, the first run writes tombstones under the names that were published before.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from daemon.config.outlets import Publish
from daemon.errors import ConfigError

LEAST_KEY: Final = 32
"""Characters that a key has at the least: whoever guesses it names everyone."""

_LEAST_DISTINCT: Final = 8
_BYTES: Final = 16
_DIGITS: Final = 26
_LENGTH: Final = 2 + _DIGITS
_ALPHABET: Final = np.frombuffer(b"0123456789abcdefghijklmnopqrstuv", np.uint8)
_DID: Final = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]*[A-Za-z0-9_-]")

Translate = Callable[[str], str]


class Pseudonyms:
    """The pseudonyms under one key. Those of the agents seen are remembered, until they are forgotten."""

    def __init__(self, secret: str) -> None:
        """Raises ValueError, a sentence, for a secret that could be guessed."""
        if len(secret) < LEAST_KEY or len(set(secret)) < _LEAST_DISTINCT:
            raise ValueError(
                f"the key of the pseudonyms is too simple: give at least {LEAST_KEY} random characters, "
                "such as `openssl rand -hex 32` prints"
            )
        key = blake2b(secret.encode(), digest_size=32, person=b"starlingd names").digest()
        self._keyed = blake2b(key=key, digest_size=_BYTES)
        self._known: dict[str, str] = {}

    @property
    def id(self) -> str:
        """What tells one key from another and gives neither away: part of the runs' ids."""
        return self.of(["the key itself"])[0]

    def of(self, agents: Collection[str]) -> list[str]:
        """Return the pseudonym of each agent; nothing is remembered."""
        digests = b"".join(self._digest(agent.encode()) for agent in agents)
        return _names(np.frombuffer(digests, np.uint8).reshape(-1, _BYTES))

    def table(self, agents: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
        """Return the pseudonyms of distinct agents, sorted, and whose each is: `names[i]` is of `agents[rows[i]]`.

        Who was in the table before is looked up, the others are hashed.
        """
        known = self._known
        if len(known) > 2 * len(agents):
            known.clear()
        if None in map(known.get, agents):
            fresh = [agent for agent in agents if agent not in known]
            known.update(zip(fresh, self.of(fresh), strict=True))
        names = list(map(known.__getitem__, agents))
        rows = _order(names)
        return list(map(names.__getitem__, rows.tolist())), rows

    def forget(self, agents: Collection[str]) -> None:
        """Remember nothing of these agents."""
        for agent in agents:
            self._known.pop(agent, None)

    def cover(self, text: str) -> str:
        """Return a text with the pseudonym for each DID in it."""
        return _DID.sub(lambda found: self.of([found[0]])[0], text) if "did:" in text else text

    def _digest(self, name: bytes) -> bytes:
        digest = self._keyed.copy()
        digest.update(name)
        return digest.digest()


def pseudonyms_of(settings: Publish) -> Pseudonyms | None:
    """Return the pseudonyms that are asked for, None where accounts keep their names. Raises ConfigError."""
    if not settings.pseudonyms:
        return None
    path, key = settings.pseudonym_key_file, settings.pseudonym_key
    try:
        secret = path.expanduser().read_text("utf-8").strip() if path else key.get_secret_value() if key else ""
        return Pseudonyms(secret)
    except OSError as error:
        raise ConfigError(f"publish.pseudonym_key_file: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"publish.pseudonym_key_file: {path} is not text") from None
    except ValueError as error:
        raise ConfigError(f"publish.pseudonym_key{'_file' if path else ''}: {error}") from None


def _names(digests: NDArray[np.uint8]) -> list[str]:
    """Write each digest, [N, 16], as a pseudonym; a digit at a time for all of them."""
    wide = np.concatenate((digests, np.zeros((len(digests), 1), np.uint8)), axis=1).astype(np.uint16)
    text = np.empty((len(digests), _LENGTH), np.uint8)
    text[:, :2] = np.frombuffer(b"p:", np.uint8)
    for digit in range(_DIGITS):
        byte, bit = divmod(5 * digit, 8)
        pair = wide[:, byte] << 8 | wide[:, byte + 1]
        text[:, 2 + digit] = _ALPHABET[pair >> (11 - bit) & 31]
    return list(_cut(text.tobytes().decode()))


def _cut(text: str) -> Iterator[str]:
    return (text[start : start + _LENGTH] for start in range(0, len(text), _LENGTH))


def _order(names: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows in the order of the names, by their bytes as big-endian numbers."""
    text = np.frombuffer("".join(names).encode(), np.uint8).reshape(-1, _LENGTH)
    wide = np.zeros((len(text), 32), np.uint8)
    wide[:, :_DIGITS] = text[:, 2:]
    keys = wide.view(">u8").astype(np.uint64)
    rows = np.argsort(keys[:, 0], kind="stable")
    first = keys[rows, 0]
    if (first[1:] == first[:-1]).any():
        rows = np.lexsort((keys[:, 3], keys[:, 2], keys[:, 1], keys[:, 0]))
    return rows
