"""Which process is at something, so that what a dead one left is told from what is under way."""

from __future__ import annotations

import os

import psutil

_SAME_START_S = 2.0  # systems tell a process's start from a clock that is corrected


def this_process() -> str:
    """A name for this process that no other has had: its id and when it began, as far as the system
    tells."""
    try:
        return f"{os.getpid()} {psutil.Process().create_time()}"
    except (psutil.Error, OSError):  # no /proc
        return f"{os.getpid()} 0.0"


def is_alive(writer: str) -> bool:
    """Whether the process of that name still runs, or may: not all can be looked at."""
    pid, _, started = writer.partition(" ")
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(started)) < _SAME_START_S
    except psutil.AccessDenied:
        return True
    except (ValueError, OverflowError):
        return False
    except (psutil.Error, OSError):
        return this_process().endswith(" 0.0")
