"""Wherever standard output and standard error go, the app is drawn on all of its terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.terminals import PROMPT, Emulated
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model


@pytest.mark.parametrize("where", ["> out", "> out 2>&1"])
def test_redirected_it_has_the_size_of_its_terminal(tmp_path: Path, where: str) -> None:
    write_llama(tmp_path / "tiny.gguf")
    terminal = Emulated(tmp_path, {})
    try:
        terminal.until(f"^{PROMPT}")
        terminal.type(f"{sys.executable} -m amulet_local -m tiny.gguf -p concise {where}\r")
        *_, last = terminal.until("● ready").split("\n")
        assert "Quit" in last
        assert terminal.shown().count("Quit") == 1
    finally:
        terminal.close()
