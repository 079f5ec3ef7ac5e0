"""The end of the app within a bounded time, whatever it is at when a signal asks for it.

A signal is heard on a thread of its own, so that neither a main thread that waits for a terminal
that is gone, nor one at long work, keeps the process alive. Nothing here knows of screens.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

LIMIT_S = 2.0  # from the signal to the end of the process
SIGNALLED = 128  # plus the signal's number is the exit code that shells expect
_ENDING = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)
]


def end_on_signals(leave: Callable[[int], None], give_up: Callable[[], None]) -> None:
    """From now on, SIGTERM, SIGHUP and SIGINT end the process.

    leave: asks for an orderly end; called on another thread, with the exit code. give_up: called
    there when the time is up, right before the process ends. For the main thread.
    """
    if sys.platform == "win32":
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.detach(), warn_on_full_buffer=False)
    for number in _ENDING:
        signal.signal(number, lambda *_: None)  # without a handler, none is told of
    threading.Thread(target=_listen, args=(heard, leave, give_up), daemon=True).start()


def _listen(
    heard: socket.socket, leave: Callable[[int], None], give_up: Callable[[], None]
) -> None:
    signal.pthread_sigmask(
        signal.SIG_BLOCK, [signal.SIGTTOU]
    )  # so that `give_up` cannot be stopped
    while (number := heard.recv(1)[0]) not in _ENDING:
        pass
    with suppress(RuntimeError):  # the loop has ended already
        leave(SIGNALLED + number)
    time.sleep(LIMIT_S)
    with suppress(Exception):
        give_up()
    os._exit(SIGNALLED + number)
