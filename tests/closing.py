"""Terminals that are closed at any moment under the real app, and what is left of it then.

The app runs with its real engine on a tiny model. `python -m tests.closing 200` closes as many
terminals and counts what lives on; the suite closes a few (tests/tui/system/test_signals.py).
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil

from tests.tiny_models import write_llama

_MARK = "AMULET_TESTED_AS"  # tells every process of a run, whatever became of its parents
_LOOKS = 50
_MODES = re.compile(rb"\x1b\[\?([\d;]+)([hl])|\x1b\[([<>])\d*u")
_STYLES = re.compile(rb"\x1b\[[\d;]*m")
_USUALLY_ON = {"7", "25"}  # line wrap, cursor
_LAST_WORDS_S = 10  # in which they are read
_ASKS_FOR_SIZES, _TELLS_SIZES = b"\x1b[?2048$p", b"\x1b[?2048;2$y"


class Closable:
    """The app in a terminal of its own, whose other end is here.

    folder: where it is started, and what it exports goes.
    """

    def __init__(
        self, arguments: list[str], variables: Mapping[str, str], folder: Path | None = None
    ) -> None:
        self._mark = uuid4().hex
        self._ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        self._as_found = termios.tcgetattr(theirs)
        self.app = subprocess.Popen(
            [sys.executable, "-m", "amulet_local", *arguments],
            cwd=folder,
            env=os.environ | variables | {"TERM": "xterm-256color", _MARK: self._mark},
            preexec_fn=lambda: _begin_in(theirs),
        )
        os.close(theirs)
        self._reads = threading.Event()
        self._reads.set()
        self._closing = False
        self.output = b""
        self._modes: set[str] = set()  # by what was written and dropped since
        self._writing = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        os.set_blocking(self._ours, False)
        while self._reads.wait() and not self._closing:
            try:
                written = os.read(self._ours, 1 << 16)
                if _ASKS_FOR_SIZES in written:
                    os.write(self._ours, _TELLS_SIZES)
                with self._writing:
                    self.output += written
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:  # nobody has the other end
                return

    def type(self, keys: bytes) -> None:
        with suppress(OSError):  # not heard any more
            os.write(self._ours, keys)

    def forget(self) -> None:
        """Drop what was written so far, which somebody who stays for hours would collect."""
        with self._writing:
            self._modes, self.output = _modes_after(self._modes, self.output), b""

    def drawn(self) -> bytes:
        """What was written since, without colours and the like."""
        return _STYLES.sub(b"", self.output)

    def freeze(self) -> None:
        """Take no more of what is written, like a connection that hangs, and have much written."""
        self._reads.clear()
        for columns in [200, 300] * 8:
            with suppress(OSError):
                termios.tcsetwinsize(self._ours, (60, columns))
            time.sleep(0.02)

    def close(self) -> None:
        """As by the button of its window."""
        self._closing = True
        self._reads.set()
        self._reader.join()  # else it reads what the next terminal, under the same number, writes
        os.close(self._ours)

    def modes(self) -> set[str]:
        """What of the terminal is not as it was found: by the sequences that were written, and by
        the settings of its line; once the app has ended, by all that it wrote."""
        if self.app.poll() is not None and self._reads.is_set():
            self._reader.join(_LAST_WORDS_S)
        left = _modes_after(self._modes, self.output)
        if termios.tcgetattr(self._ours) != self._as_found:
            left.add("line settings")
        return left

    def living(self) -> list[psutil.Process]:
        """What lives of the app, its engine included."""
        found = []
        if self.app.poll() is None:  # it has no environment any more while it ends
            found.append(psutil.Process(self.app.pid))
        for pid in psutil.pids():
            with suppress(psutil.Error, IndexError):  # gone while it was looked at
                process = psutil.Process(pid)
                if process not in found and process.environ().get(_MARK) == self._mark:
                    found.append(process)
        return found

    def kill(self) -> list[psutil.Process]:
        """End what lives; returns what that was."""
        left = self.living()
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        self.app.wait()
        return left


def _begin_in(terminal: int) -> None:
    """As a shell begins a job: signals that whoever runs this may ignore, such as a script that has
    put it in the background or wants it to outlive its terminal, have their usual effect."""
    os.login_tty(terminal)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _modes_after(modes: set[str], output: bytes) -> set[str]:
    """What is on that usually is not, or off, by the sequences that were written."""
    left = set(modes)
    for private, action, way in _MODES.findall(output):
        if way:
            (left.add if way == b">" else left.discard)("keyboard")
        for number in private.decode().split(";") if private else ():
            on = action == (b"l" if number in _USUALLY_ON else b"h")
            (left.add if on else left.discard)(number)
    return left


def main(times: int) -> int:
    """Close so many terminals, each at a random moment; returns how many left something alive that
    was not gone after three seconds."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "tiny.gguf")
        write_llama(model)
        variables = {"AMULET_HOME": str(Path(folder, "home")), "HOME": folder}
        for number in range(times):
            chance = random.Random(number)
            opened = Closable(["-m", str(model), "-p", "concise"], variables)
            time.sleep(chance.uniform(0.0, 5.0))
            if chance.random() < 0.6:
                opened.type(b"Tell me a long story.\r")
                time.sleep(chance.uniform(0.0, 1.5))
            if chance.random() < 0.3:
                opened.freeze()
                time.sleep(chance.uniform(0.0, 1.0))
            seen = len(opened.living())
            opened.close()
            for _ in range(_LOOKS):
                if not opened.living():
                    break
                time.sleep(3.0 / _LOOKS)
            left = opened.kill()
            failed += bool(left)
            print(number, f"{seen} processes,", left or "all gone", flush=True)
    print(f"{failed} of {times} left something alive")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]))))
