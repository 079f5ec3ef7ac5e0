"""The terminal that the app is drawn in, on systems that have such: one that may go away.

Textual's own driver stands still for ever once its terminal is closed, and ends the app at a byte
that is no UTF-8. Nothing here knows what is drawn.
"""

from __future__ import annotations

import errno
import io
import os
import selectors
import signal
import sys
import termios
import threading
import time
from codecs import getincrementaldecoder
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO, cast

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Key
from textual.message import Message

from tui.system.signals import ending, goes_on

_AT_ONCE = 1 << 12  # bytes
_PATIENCE_S = 0.1  # in which an escape sequence has come whole, and signals that came together
_AS_FOUND = (
    b"\x1b[?2004l\x1b[?7h\x1b[?2048l"  # paste, line wrap, reports of the size
    b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l\x1b[?1004l"  # mouse, focus
    b"\x1b[<u\x1b[?1049l\x1b[?25h"  # keyboard, the first screen, the cursor
)

# By Textual's driver: the mouse in pixels; reports of the size, where the terminal tells that it
# has them only while we leave.
_FORGOTTEN = "\x1b[?1016l\x1b[?2048l"


class SteadyDriver(LinuxDriver):
    """Draws on the terminal wherever standard error goes, and ends the app once it is closed.

    Signals to stop and to go on come at any moment, in any order, also from others than the shell.
    They are obeyed between two steps of the app's loop, where nothing else is under way.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._in_use = False
        self._came_back = False  # which the signal to go on has still to be heard of
        self._taking = threading.Lock()
        super().__init__(*args, **options)
        self._file = cast(Any, _Output(_terminal()))  # as much of a file as is used
        self._size = self._size or self._get_terminal_size()  # or Textual asks the environment

    def write(self, data: str) -> None:
        """Nothing is written to a terminal that others use."""
        if self._in_use:
            super().write(data)

    def _get_terminal_size(self) -> tuple[int, int]:
        """Of the terminal that is drawn on, wherever standard output goes: columns, rows."""
        with suppress(OSError):
            size = os.get_terminal_size(cast(_Output, self._file).fileno())
            if all(size):
                return size
        return super()._get_terminal_size()

    def start_application_mode(self) -> None:
        """Take the terminal."""
        with self._taking:
            if not self._in_use:
                self._in_use = True
                super().start_application_mode()  # type: ignore[no-untyped-call]
                writer = self._writer_thread  # a new one, unless the shell has the terminal again
                self._in_use = writer is not None and writer.is_alive()

    def stop_application_mode(self) -> None:
        """Have the terminal as it was found. Where others have it, its line is theirs, and only the
        modes are ours to leave."""
        if self._in_use:
            if not self._is_ours():
                self.attrs_before = None
            super().stop_application_mode()
            self.write(_FORGOTTEN)
            self._in_use = False

    def disable_input(self) -> None:
        """Hear no more keys. Those that another program has not read yet are not thrown away: the
        system would stop us for it, also when we are to end."""
        if not self._in_use or self.exit_event.is_set():
            return
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        self._disable_mouse_support()
        self.exit_event.set()
        if self._key_thread is not None:
            self._key_thread.join()
        self.exit_event.clear()
        if self._is_ours():
            with suppress(termios.error):
                termios.tcflush(self.fileno, termios.TCIFLUSH)

    def give_back(self) -> None:
        """Have the terminal as it was found, at once, if it is still there and can be written to,
        and never take it again; for any thread, right before the process ends."""
        self._taking.acquire(timeout=_PATIENCE_S)  # what is just being taken is given back, too
        if not self._in_use:
            return
        cast(_Output, self._file).shut()
        if self.attrs_before is not None:
            with suppress(termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
        with suppress(OSError):
            terminal = os.open(os.ttyname(self.fileno), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
            os.write(terminal, _AS_FOUND)
            os.close(terminal)

    # -- stopping and going on ----------------------------------------------------------------

    def _sigtstp_application(self, *_: object) -> None:
        self._soon(self._suspend)

    def _sigcont_application(self, *_: object) -> None:
        self._soon(self._go_on)

    def _soon(self, act: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the app with it
            self._loop.call_soon_threadsafe(act)

    def _suspend(self) -> None:
        """Give the terminal back, then stop, with what may have started us, such as a script: the
        shell waits for that one. It would take the terminal too early if that stopped first."""
        if self._in_use and self._auto_restart and not ending():
            self.suspend_application_mode()
            if not goes_on() and not ending():  # else nobody would tell us to go on once more
                self._came_back = True
                os.killpg(0, signal.SIGSTOP)
            self._come_back()

    def _go_on(self) -> None:
        """After a stop that nobody announced: another program may have had the terminal."""
        if self._came_back or not self._in_use or not self._auto_restart:
            self._came_back = False
        else:
            self.suspend_application_mode()
            self._come_back()

    def _come_back(self) -> None:
        """Take the terminal again once the shell lets us; unless the app is to end."""
        self._must_signal_resume = True
        while not self._in_use and not ending():
            if self._is_ours():
                self.resume_application_mode()
                continue
            time.sleep(_PATIENCE_S)  # a signal to end that has waited is heard by another thread
            if not ending():
                self._came_back = True
                os.kill(os.getpid(), signal.SIGSTOP)

    def _is_ours(self) -> bool:
        """Whether the app is in front, as it always is where the terminal controls no session.
        Where the terminal is gone, it is to end."""
        try:
            return os.tcgetpgrp(self.fileno) == os.getpgrp()
        except OSError as error:
            if error.errno != errno.ENOTTY:
                os.kill(os.getpid(), signal.SIGHUP)
            return True

    # -- what is typed ------------------------------------------------------------------------

    def run_input_thread(self) -> None:
        """Turn what is typed into messages, until the app wants no more or nobody can type more."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(_PATIENCE_S):
                    typed = self._read()
                    if not typed:
                        os.kill(os.getpid(), signal.SIGHUP)  # which the kernel may not have sent
                        return
                    for message in parser.feed(decode(typed)):
                        self.process_message(message)
                for message in parser.tick():
                    self.process_message(message)

    def process_message(self, message: Message) -> None:
        """Pass on what was typed; the app hears of a key even where its loop stands still."""
        super().process_message(message)
        if isinstance(message, Key) and (typed := getattr(self._app, "typed", None)):
            typed(message.key)

    def _read(self) -> bytes:
        """What was typed; nothing where the terminal is gone."""
        with suppress(OSError):
            return os.read(self.fileno, _AT_ONCE)
        return b""


class _Output(io.TextIOBase):
    """A terminal to write to; what is written to one that is gone is lost."""

    def __init__(self, file: TextIO) -> None:
        self._to = file
        self._open = True
        self._writing = threading.Lock()

    def write(self, text: str) -> int:
        with self._writing, suppress(OSError):
            if self._open:
                self._to.write(text)
        return len(text)

    def flush(self) -> None:
        with self._writing, suppress(OSError):
            if self._open:
                self._to.flush()

    def shut(self) -> None:
        """Nothing is written any more; what is being written comes first, unless that waits."""
        self._open = False
        if self._writing.acquire(timeout=_PATIENCE_S):
            self._writing.release()

    def fileno(self) -> int:
        return self._to.fileno()


def _terminal() -> TextIO:
    """Standard error, unless that goes to a file. Raises OSError where there is no terminal."""
    if sys.__stderr__ and sys.__stderr__.isatty():
        return sys.__stderr__
    return open("/dev/tty", "w", encoding="utf-8", errors="replace")  # noqa: PTH123


def can_return() -> bool:
    """Whether a stopped app can be continued: a shell of this session waits for it, outside of its
    process group."""
    import psutil  # takes a while, and is seldom needed

    with suppress(psutil.Error, OSError):
        for ancestor in psutil.Process().parents():
            if os.getsid(ancestor.pid) != os.getsid(0):
                return False
            if os.getpgid(ancestor.pid) != os.getpgrp():
                return True
    return False
