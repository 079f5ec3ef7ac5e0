"""Memory that goes back to the system once it is freed, where the C library can be told so.

Nothing happens with other C libraries than glibc.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # of glibc, see mallopt(3)
_LARGE = 1 << 20  # bytes; a row of logits is less


def give_back_large_blocks() -> None:
    """Have every large block be a mapping of its own, which ends when it is freed.

    By itself, glibc takes blocks from the heap that are as large as any that was freed before, up
    to 32 MB, and gaps between those that stay are never given back: a process that opens and closes
    contexts only grows.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def give_back_freed() -> None:
    """Have whole pages that are free, between blocks that are not, go back."""
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
