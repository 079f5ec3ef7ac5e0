"""Tests as root: without the powers by which its files are open to it whatever their modes say."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION = 0x20080522  # of Linux's capabilities, as capset(2) has them
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2
_DROP = 24  # PR_CAPBSET_DROP
_ROOT_HERE = sys.platform == "linux" and os.geteuid() == 0


@contextmanager
def as_anybody() -> Iterator[None]:
    """Modes of files count for this thread and those that it begins, as they do for all but
    root."""
    if not _ROOT_HERE:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    before = sets[0]
    sets[0] = before & ~(1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH)
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        sets[0] = before
        libc.capset(header, sets)


def give_up_powers() -> None:
    """The same for what this process executes next, and for good; before exec of a child."""
    if _ROOT_HERE:
        libc = ctypes.CDLL(None)
        for power in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
            libc.prctl(_DROP, power, 0, 0, 0)
