"""Memory that stays level for months: glibc gives what large arrays took back to the system as soon as they are freed.

Left to itself it raises the size from which it does so up to 32 MB, to that of the arrays that it saw freed, and keeps
an arena for each thread. The arrays of a run, of some MB for hundreds of thousands of agents, then come from heaps
between what lives longer, and these heaps grow for hours. What still comes from them is given back after each run:
left alone, glibc keeps all that lies below the last byte in use.
"""

import contextlib
import ctypes
import sys

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE = 1 << 20
_ARENAS = 2


def keep_level() -> None:
    """Tell glibc; to be called before threads begin. Elsewhere it does nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library has no such call
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_MMAP_THRESHOLD, _LARGE)
            mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give the system what was freed between what lives; takes some ms. Elsewhere it does nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
