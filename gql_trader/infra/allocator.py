"""How a process that computes a lot keeps its memory."""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Names of <malloc.h>."""

KEPT_BYTES: Final = 256 * 1024 * 1024
"""Free memory that is kept at most."""

_LARGEST_KEPT: Final = 32 * 1024 * 1024
"""Most that the C library takes from kept memory; larger arrays are its system's anew each time."""


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next array, instead of giving it back each time.

    A column of a year of minutes is four megabytes, which glibc would have the kernel clear page by page for
    each indicator: twice the time of computing most of them.

    Returns
    -------
    bool
        False where the C library cannot be told (it is not glibc); nothing has changed then.
    """
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # One arena: those of other threads give back what they can, whatever is asked of them.
    wanted = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _LARGEST_KEPT), (_TRIM_THRESHOLD, KEPT_BYTES))
    return all(tell(name, value) == 1 for name, value in wanted)
