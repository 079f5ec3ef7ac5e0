"""The end of a process with the one that started it, where the system can see to that."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1  # of Linux, see prctl(2)


def for_the_child() -> list[str]:
    """What to tell a process that is being started, as arguments, so that it can call `end_with`;
    nothing where it may not."""
    return [str(os.getpid())] if threading.current_thread() is threading.main_thread() else []


def end_with(parent: int) -> None:
    """Have the system kill this process when the one of that id, its parent, has ended: even where
    this one is stopped then, or hangs. Only for one that the parent's main thread has started:
    Linux does so when that thread ends. Nothing happens on other systems."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(0)
