"""How the app looks: two themes of our own, those of Textual, and which one to begin with.

The user's choice is kept; without one, the terminal is asked whether it is light or dark.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from contextlib import suppress
from pathlib import Path

from textual.theme import BUILTIN_THEMES, Theme

from amulet_local.files import read_bounded, write_whole
from amulet_local.settings import data_folder

DARK = Theme(
    name="amulet-dark",
    primary="#7fa7c9",
    secondary="#9d8ec7",
    accent="#e0a458",
    warning="#e5c07b",
    error="#e06c75",
    success="#98c379",
    foreground="#d8d6d0",
    background="#16161a",
    surface="#1f1f25",
    panel="#26262d",
    dark=True,
)
LIGHT = Theme(
    name="amulet-light",
    primary="#2f5f8a",
    secondary="#6a55a3",
    accent="#9c5a00",
    warning="#8a6100",
    error="#b3261e",
    success="#2e7031",
    foreground="#26241f",
    background="#fbfaf7",
    surface="#f0eee8",
    panel="#e6e3db",
    dark=False,
)
OWN = (DARK, LIGHT)

_ASK = b"\x1b]11;?\x1b\\"  # OSC 11: the colour of the background, please
_ANSWER = re.compile(rb"\x1b\]11;rgba?:([0-9a-fA-F]+)/([0-9a-fA-F]+)/([0-9a-fA-F]+)")
_PATIENCE_S = 0.12
_MOST_BYTES = 1024  # of a name


def first_theme(chosen: str) -> str:
    """The theme to begin with: config.toml's, else the last one chosen, else the terminal's."""
    known = {theme.name for theme in OWN} | set(BUILTIN_THEMES)
    for name in (chosen, remembered()):
        if name in known:
            return name
    return LIGHT.name if terminal_is_light() else DARK.name


def remembered() -> str:
    """The theme that was chosen last; empty if none was."""
    with suppress(OSError, UnicodeDecodeError):
        return read_bounded(_file(), _MOST_BYTES).decode().strip()
    return ""


def remember(name: str) -> None:
    """Keep a choice; where that fails, it is made again next time."""
    with suppress(OSError):
        write_whole(_file(), name.encode())


def _file() -> Path:
    return data_folder() / "theme"


def terminal_is_light() -> bool:
    """Whether the terminal's background is light, as it says itself; False where it does not."""
    if answer := _background():
        red, green, blue = (int(part[:2].ljust(2, part[:1]), 16) / 255 for part in answer)
        return 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
    number = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return number in ("7", "15")


def _background() -> tuple[bytes, ...] | None:
    """Ask the terminal for its background's red, green and blue, in hexadecimal digits."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        return None
    import termios
    import tty

    with suppress(OSError, termios.error):
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        try:
            before = termios.tcgetattr(terminal)
            try:
                tty.setcbreak(terminal, termios.TCSANOW)
                os.write(terminal, _ASK)
                if match := _ANSWER.search(_read(terminal)):
                    return match.groups()
            finally:
                termios.tcsetattr(terminal, termios.TCSANOW, before)
        finally:
            os.close(terminal)
    return None


def _read(terminal: int) -> bytes:
    """What the terminal answers, for as long as it is worth waiting."""
    data, end = b"", time.monotonic() + _PATIENCE_S
    while (left := end - time.monotonic()) > 0 and not data.endswith((b"\x07", b"\x1b\\")):
        if select.select([terminal], [], [], left)[0]:
            data += os.read(terminal, 64)
    return data
