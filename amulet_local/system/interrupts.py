"""Ctrl+C while a native call is under way."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def interrupts_wait(cut: Callable[[], object] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Ctrl+C waits for the end of native calls that call back into Python, since an exception that
    a callback raises is dropped there, or taken for another. cut: called as one comes, to have such
    a call end soon. Yields whether one waits."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield lambda: False
        return
    waiting: list[int] = []

    def note(number: int, _frame: object) -> None:
        waiting.append(number)
        cut()

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(waiting)
    finally:
        signal.signal(signal.SIGINT, usual)
        if waiting:
            signal.raise_signal(signal.SIGINT)
