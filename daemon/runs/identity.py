"""A number for each agent that depends on its name alone: panels draw and take equals by it, on however many ranks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BYTES = 64
"""Of a name count: a DID of today has 32."""
_ODD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def identities(agents: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each agent, [N]; that two are alike is a matter of chance (2⁻⁶⁴ a pair)."""
    kind = f"S{_BYTES}"
    try:
        names = np.array(agents, kind)
    except UnicodeEncodeError:
        names = np.array([agent.encode() for agent in agents], kind)
    number = np.zeros(len(agents), np.uint64)
    for word in names.view(np.uint64).reshape(len(agents), _BYTES // 8).T:
        number = (number ^ word) * _ODD
        number ^= number >> _SHIFT
    return number.view(np.int64)
