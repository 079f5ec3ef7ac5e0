"""A terminal with a shell in it, for what can only be tried in one: keys go in, what is on its
screen comes out.

Two kinds, which do the same: `Emulated`, a pseudo-terminal whose other end is pyte, runs anywhere;
`Tmux` is a pane of a tmux server of its own. Neither knows what runs in the shell.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import termios
import threading
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyte
import pytest

from tests.checks import comes

COLUMNS, LINES = 100, 30
_PATIENCE_S = 0.05
PROMPT = "here>"
_SHELL = ["/usr/bin/env", f"PS1={PROMPT} ", "/bin/sh"]


class Terminal:
    """shell: the id of the shell's process."""

    shell: int

    def type(self, keys: str) -> None:
        """Press keys: their characters, as a terminal sends them."""
        raise NotImplementedError

    def shown(self) -> str:
        """What is on the screen, row by row."""
        raise NotImplementedError

    def is_plain(self) -> bool:
        """Whether it is as shells leave it: cursor seen, mouse not heard, first screen in front."""
        raise NotImplementedError

    def close(self) -> None:
        """End the shell, and all that runs in it."""
        raise NotImplementedError

    def until(self, *wanted: str) -> str:
        """Wait until all of these (regular expressions) are on the screen; returns all of it."""
        shown = ""

        def is_shown() -> bool:
            nonlocal shown
            shown = self.shown()
            return all(re.search(each, shown, re.MULTILINE) for each in wanted)

        if not comes(is_shown):
            pytest.fail(f"{wanted} is not shown:\n{shown}", pytrace=False)
        return shown


class Emulated(Terminal):
    """A pseudo-terminal whose output pyte makes a screen of."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (LINES, COLUMNS))
        env = os.environ | variables | {"TERM": "xterm-256color"}
        self._process = subprocess.Popen(
            _SHELL, cwd=folder, env=env, preexec_fn=lambda: os.login_tty(theirs)
        )
        self.shell = self._process.pid
        os.close(theirs)
        self._screen = _Screen(COLUMNS, LINES)
        self._shown: str | None = None  # pyte takes a while to say, and is asked again and again
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Take all that is written at once: a program stands still while nobody reads."""
        stream = pyte.ByteStream(self._screen)
        while not self._closing.is_set():
            if not select.select([self._ours], [], [], _PATIENCE_S)[0]:
                continue
            try:
                data = os.read(self._ours, 1 << 16)
            except OSError:  # the shell has ended
                return
            with self._lock:
                stream.feed(_KEYBOARD.sub(b"", data))
                self._shown = None

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def shown(self) -> str:
        with self._lock:
            if self._shown is None:
                self._shown = "\n".join(row.rstrip() for row in self._screen.display)
            return self._shown

    def is_plain(self) -> bool:
        with self._lock:
            set_, cursor = self._screen.mode, self._screen.cursor
            return not cursor.hidden and not self._screen.beneath and not set_ & _MOUSE

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._closing.set()
        self._reader.join()  # else it reads what the next terminal, under the same number, writes
        os.close(self._ours)


_KEYBOARD = re.compile(rb"\x1b\[[<>=][\d;]*u")  # asks for more exact keys; not known to pyte
_PRIVATE = 5  # bits by which pyte shifts the modes of DEC
_MOUSE = {mode << _PRIVATE for mode in (1000, 1002, 1003, 1006, 1015)}
_OTHER_SCREEN = 1049


class _Screen(pyte.Screen):
    """With the second screen that full-screen programs draw on, which pyte has not."""

    beneath: tuple[Any, Any] | None = None  # what is on the first one meanwhile, and its cursor

    def set_mode(self, *modes: int, **how: Any) -> None:
        super().set_mode(*modes, **how)
        if _OTHER_SCREEN in modes and not self.beneath:
            self.beneath = deepcopy(self.buffer), deepcopy(self.cursor)
            self.erase_in_display(2)

    def reset_mode(self, *modes: int, **how: Any) -> None:
        super().reset_mode(*modes, **how)
        if _OTHER_SCREEN in modes and self.beneath:
            (self.buffer, self.cursor), self.beneath = self.beneath, None


class Tmux(Terminal):
    """A pane of tmux."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._socket = f"amulet-{os.getpid()}"
        self._env = os.environ | variables
        size = ("-x", str(COLUMNS), "-y", str(LINES))
        self._do("-f", os.devnull, "new-session", "-d", *size, "-c", str(folder), *_SHELL)
        self.shell = int(self._ask("pane_pid"))

    def _do(self, *words: str) -> str:
        command = ["tmux", "-L", self._socket, *words]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, check=True)
        return done.stdout

    def _ask(self, *names: str) -> str:
        return self._do("display-message", "-p", " ".join(f"#{{{name}}}" for name in names)).strip()

    def type(self, keys: str) -> None:
        self._do("send-keys", "-H", *(f"{byte:02x}" for byte in keys.encode()))

    def shown(self) -> str:
        return self._do("capture-pane", "-p")

    def is_plain(self) -> bool:
        return self._ask("cursor_flag", "mouse_any_flag", "alternate_on") == "1 0 0"

    def close(self) -> None:
        self._do("kill-server")
