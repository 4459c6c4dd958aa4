"""Room for one number per agent. New memory costs a page fault every 4 KiB, which can be dearer than the work."""

import numpy as np
import torch
from torch import Tensor

_LINE = 64
"""Bytes of a cache line: kernels give the same bits only to what lies alike."""
_DOUBLE = 8


def room(n: int, device: torch.device) -> Tensor:
    """Give float64 [n] with whatever it holds. On a CPU NumPy asks the system for huge pages, as torch does not."""
    if device.type != "cpu":
        return torch.empty(n, dtype=torch.float64, device=device)
    held = np.empty(n + _LINE // _DOUBLE)
    first = -held.ctypes.data % _LINE // _DOUBLE
    return torch.from_numpy(held[first : first + n])
