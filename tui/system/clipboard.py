"""Getting text out: by the terminal's own clipboard (OSC 52), and by the system's tool.

Not every terminal obeys OSC 52, and not every system has a tool; so both are tried.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from typing import Any

from textual.app import App

from amulet_local.safe_text import SafeText, clean

_TOOLS: dict[str, tuple[tuple[str, ...], ...]] = {
    "darwin": (("pbcopy",),),
    "win32": (("clip",),),
    "linux": (
        ("wl-copy",),
        ("xclip", "-selection", "clipboard"),
        ("xsel", "--clipboard", "--input"),
        ("clip.exe",),
    ),
}
_PATIENCE_S = 2


def copy(app: App[Any], text: str) -> None:
    """Put a text on the clipboard, made safe; the tool may take a while, so it has a thread."""
    safe = clean(text)
    app.copy_to_clipboard(safe)
    for tool in _TOOLS.get(sys.platform, _TOOLS["linux"]):
        if shutil.which(tool[0]):
            feed = partial(_feed, tool, safe)
            app.run_worker(feed, thread=True, exclusive=True, group="copy")
            return


def _feed(tool: tuple[str, ...], text: SafeText) -> None:
    """Give a tool the text; where it fails, the terminal's clipboard has it all the same."""
    try:
        subprocess.run(
            tool,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
