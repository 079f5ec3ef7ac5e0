"""Wherever standard output and standard error go, the app is drawn on all of its terminal."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from textual.app import App

from tests.terminals import PROMPT, Emulated
from tests.tiny_models import write_llama
from tui.system import terminal

pytestmark = pytest.mark.model


async def test_it_begins_with_that_size_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a variable with a thousand columns, the first screen would be as large."""
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((90, 30)))
    monkeypatch.setattr(terminal, "_terminal", lambda: sys.__stderr__)
    for name in ("COLUMNS", "LINES"):
        monkeypatch.setenv(name, "1000")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT)}
    app = App[None]()
    app._driver = terminal.SteadyDriver(app)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert app.size == (90, 30)


@pytest.mark.parametrize("where", ["> out", "> out 2>&1"])
def test_redirected_it_has_the_size_of_its_terminal(tmp_path: Path, where: str) -> None:
    write_llama(tmp_path / "tiny.gguf")
    shell = Emulated(tmp_path, {})
    try:
        shell.until(f"^{PROMPT}")
        shell.type(f"{sys.executable} -m amulet_local -m tiny.gguf -p concise {where}\r")
        *_, last = shell.until("● ready").split("\n")
        assert "Quit" in last
        assert shell.shown().count("Quit") == 1
    finally:
        shell.close()
