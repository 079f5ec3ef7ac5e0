"""Addresses that a model or a user wrote: which ones may be opened, and how.

Only web pages and mail, and only what reads as it is: nothing that looks like another address.
Opening is the system's own program, which never gets hold of the terminal.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from urllib.parse import urlsplit

_LONGEST = 2000  # characters
_PATIENCE_S = 3.0
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")


def openable(address: str) -> bool:
    """Whether an address may be opened: http, https or mailto, in printable ASCII.

    One with a name before its host (https://bank.org@elsewhere.org) may not: it reads as another.
    """
    if len(address) > _LONGEST or not address.isascii() or not address.isprintable():
        return False
    if " " in address or "\\" in address:
        return False
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme == "mailto":
        return "@" in parts.path and not parts.netloc
    return parts.scheme in ("http", "https") and bool(host) and "@" not in parts.netloc


def open_address(address: str) -> bool:
    """Open an address that is `openable`; False where there is no way to. Takes a while."""
    command = _command(address)
    if not command or not openable(address):
        return False
    nothing = subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
        )
    except OSError:
        return False
    with suppress(subprocess.TimeoutExpired):  # which stays open as long as the page does
        return process.wait(_PATIENCE_S) == 0
    return True


def _command(address: str) -> list[str]:
    """What opens an address here; empty where nothing does."""
    for browser in filter(None, os.environ.get("BROWSER", "").split(os.pathsep)):
        try:
            words = shlex.split(browser)
        except ValueError:  # a quotation mark that is not closed
            continue
        if words and shutil.which(words[0]):
            filled = [word.replace("%s", address) for word in words]
            return filled if "%s" in browser else [*words, address]
    if sys.platform == "darwin":
        return ["open", address]
    if sys.platform == "win32":
        return ["rundll32", "url.dll,FileProtocolHandler", address]
    for program in ("wslview", "xdg-open"):
        if shutil.which(program) and any(map(os.environ.get, _SCREENS)):
            return [program, address]
    return []
