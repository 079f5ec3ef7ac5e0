"""The end of the app within a bounded time, whatever it is at when a signal or a key asks for it.

A signal is heard on a thread of its own, so that neither a main thread that waits for a terminal
that is gone, nor one at long work, keeps the process alive. Nothing here knows of screens.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from time import monotonic

LIMIT_S = 2.7  # from the signal or the key to the end of the process; nobody waits for three
SIGNALLED = 128  # plus the signal's number is the exit code that shells expect
_ENDING = [
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT")
    if hasattr(signal, name)
]
_JOB = [getattr(signal, name) for name in ("SIGTSTP", "SIGCONT") if hasattr(signal, name)]
_heard: list[int] = []
_job: deque[int] = deque(maxlen=1)


def ending() -> bool:
    """Whether a signal to end the process has come; for the main thread, which hears it first."""
    return bool(_heard)


def goes_on() -> bool:
    """Whether the newest of SIGTSTP and SIGCONT is the latter; a moment after they have come. For
    the main thread, which is told of those that came together by their numbers, not in turn."""
    return bool(_job) and _job[0] == signal.SIGCONT


@contextmanager
def exiting() -> Iterator[None]:
    """Meanwhile, SIGTERM, SIGHUP, SIGINT and SIGQUIT raise SystemExit, so that what is changed for
    a moment is put back. For the main thread."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(SIGNALLED + number)

    before = {number: signal.signal(number, leave) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Ending:
    """leave: asks for an orderly end; called on another thread, with the exit code; False where
    nothing has begun that could be brought to one. give_up: called there right before the process
    ends, when it has not, or the time is up. That counts to the very end of the process, since
    an interpreter that ends waits for threads, too."""

    def __init__(self, leave: Callable[[int], bool], give_up: Callable[[], None]) -> None:
        self._leave, self._give_up = leave, give_up
        self._begun = threading.Lock()
        self._asked_at = -inf  # by a key

    def on_signals(self) -> None:
        """From now on, SIGTERM, SIGHUP, SIGINT and SIGQUIT end the process. For the main thread."""
        if sys.platform == "win32":
            return
        heard, told = socket.socketpair()
        told.setblocking(False)
        signal.set_wakeup_fd(told.detach(), warn_on_full_buffer=False)
        for number in _ENDING:  # without a handler, none is told of
            signal.signal(number, lambda number, _: _heard.append(number))
        # By its number, which stays open: else Python tells of a signal at the very end.
        threading.Thread(target=self._listen, args=(heard.detach(),), daemon=True).start()

    def begin(self, code: int) -> None:
        """The end begins: the process has its time, and no more. It counts from the key that asked
        for it, which a main thread at long work comes to late."""
        since_key = monotonic() - self._asked_at
        self._begin(code, LIMIT_S - since_key if since_key < LIMIT_S else LIMIT_S)

    def asked(self, heard: threading.Event) -> None:
        """A key asked for the end. heard: set once the main thread has come to it; where it never
        does, as when it waits for a terminal that takes nothing, the process ends all the same."""
        self._asked_at = monotonic()
        self._end_unless(heard, 0, LIMIT_S)

    def _begin(self, code: int, limit_s: float) -> None:
        if self._begun.acquire(blocking=False):
            self._end_unless(threading.Event(), code, limit_s)

    def _listen(self, heard: int) -> None:
        while (number := os.read(heard, 1)[0]) not in _ENDING:
            if number in _JOB:
                _job.append(number)
        orderly = True
        with suppress(RuntimeError):  # the loop has ended already
            orderly = self._leave(SIGNALLED + number)
        if orderly:
            self._begin(SIGNALLED + number, LIMIT_S)
        else:
            self._end(SIGNALLED + number)

    def _end_unless(self, otherwise: threading.Event, code: int, limit_s: float) -> None:
        def wait() -> None:
            if not otherwise.wait(limit_s):
                self._end(code)

        threading.Thread(target=wait, daemon=True).start()

    def _end(self, code: int) -> None:
        if hasattr(signal, "pthread_sigmask"):  # so that `give_up` cannot be stopped
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        with suppress(Exception):
            self._give_up()
        os._exit(code)
