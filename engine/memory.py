"""Room for numbers of agents, used again and again: memory that is new costs a page fault every 4 KiB.

On a virtual machine whose host has to find the page first, that is dearer than all the work.
"""

import math
import weakref

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

AT_ONCE = 1 << 17
"""Agents that are looked at in one go where there are several steps, lest each go through memory."""
_LINE = 64
"""Bytes of a cache line: kernels give the same bits only to what lies alike."""
_HEADROOM = 1.125
"""Runs differ in how many agents they have, and what is not touched costs nothing."""
_LARGE = 1 << 20
"""Bytes; what is smaller stays with the allocator anyway."""
_HUGE = 1 << 25
"""Bytes from which huge pages are asked for. They are dear where a host has yet to find them, so not for a little."""
_KEPT = 8
"""Pieces that are kept when nobody holds them any more."""

_free: dict[int, NDArray[np.uint8]] = {}
"""By address, the latest last; any thread may take and give back at any moment, in one step each."""


def room(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype = torch.float64) -> Tensor:
    """Give a tensor with whatever it holds."""
    size = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or size < _LARGE:
        return torch.empty(shape, dtype=dtype, device=device)
    held = _taken(size)
    first = -held.ctypes.data % _LINE
    view = held[first : first + size]
    # The tensor's storage keeps the view, and the view's end gives back what it lies in.
    weakref.finalize(view, _give_back, held).atexit = False
    return torch.from_numpy(view).view(dtype).view(shape)


def _taken(size: int) -> NDArray[np.uint8]:
    for address, free in tuple(_free.items()):
        fits = size + _LINE <= len(free) <= 2 * _HEADROOM * (size + _LINE)
        if fits and (held := _free.pop(address, None)) is not None:
            return held
    room_for = int(_HEADROOM * size) + _LINE
    if size >= _HUGE:
        return np.empty(room_for, np.uint8)  # NumPy asks for huge pages, as torch does not
    return torch.empty(room_for, dtype=torch.uint8).numpy()


def _give_back(held: NDArray[np.uint8]) -> None:
    _free[held.ctypes.data] = held
    for address in tuple(_free)[:-_KEPT]:
        _free.pop(address, None)
