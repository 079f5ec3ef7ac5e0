"""A day in the app, in a real terminal, with the real engine and the default model.

`make test` runs it in a terminal that is emulated, `make test-terminal` in tmux.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.terminals import PROMPT, Emulated, Terminal, Tmux

ENTER, ESCAPE, RIGHT = "\r", "\x1b", "\x1b[C"
AMULET = Path(sysconfig.get_path("scripts")) / "amulet"


def ctrl(letter: str) -> str:
    """What a terminal sends for a letter with Ctrl."""
    return chr(ord(letter) & 0x1F)


def configure(home: Path, max_tokens: int) -> None:
    """Write config.toml: so many tokens a reply at most."""
    config = home / "config" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(
        f'preset = "concise"\ntheme = "amulet-dark"\nmax_tokens = {max_tokens}\n', "utf-8"
    )


@pytest.fixture
def terminal(
    request: pytest.FixtureRequest, tmp_path: Path, home: Path, default_model: Path
) -> Iterator[Terminal]:
    """A shell in which `amulet` has the default model, and a config.toml for short replies."""
    models = tmp_path / "models"
    models.mkdir()
    (models / default_model.name).symlink_to(default_model)
    configure(home, max_tokens=16)
    kind = {"emulated": Emulated, "tmux": Tmux}[request.config.getoption("--terminal")]
    opened = kind(tmp_path, {"AMULET_HOME": str(home), "AMULET_MODELS": str(models)})
    yield opened
    opened.close()


def engine_of(terminal: Terminal) -> psutil.Process:
    """The process that the model is loaded in."""
    (app,) = psutil.Process(terminal.shell).children()
    (engine,) = app.children()
    return engine


def open_app(terminal: Terminal) -> None:
    terminal.type(f"{AMULET}{ENTER}")
    terminal.until("Ask anything", "● ready")


def assert_given_back(terminal: Terminal, settings: str) -> None:
    """The shell is back, with what was on the screen before the app, and its settings."""
    terminal.until(f"^{PROMPT}$", "what was here before")
    assert terminal.is_plain()
    terminal.type(f"stty -g{ENTER}")
    assert terminal.until(rf"^{PROMPT} stty -g\n.*\n{PROMPT}").count(settings) == 2


@pytest.mark.model
def test_a_day_in_the_app(terminal: Terminal, home: Path) -> None:
    terminal.until(f"^{PROMPT}")
    terminal.type(f"clear; echo what was here before; stty -g{ENTER}")
    (settings,) = re.findall(r"^[0-9a-f:]{30,}", terminal.until("^[0-9a-f:]{30,}"), re.MULTILINE)

    # Ask; ask once more; the dial.
    open_app(terminal)
    terminal.type(f"What makes a good walking holiday?{ENTER}")
    terminal.until("▌ What makes a good walking holiday", "first after", "seed")
    terminal.type(ctrl("r"))
    terminal.until(r"‹\s+2/2\s+›", "● ready")
    terminal.type(ctrl("t") + "l")
    terminal.until(r"3\.00 LA")
    terminal.type(RIGHT)
    terminal.until(r"3\.10 past LA")
    terminal.type(ctrl("t"))

    # Token by token, and side by side.
    terminal.type(ctrl("f"))
    terminal.until("^  Heat  Concise .* tokens", "prompt only", r"● .*\d%", r"shift +[\d.]+ nats")
    terminal.type(ESCAPE)
    terminal.until("Ask anything")
    terminal.type(ctrl("y"))
    terminal.until("1 · base", "2 · prompt only", r"3 · 3\.10 past LA")
    terminal.until("Press v to vote without seeing which is which")
    terminal.type(ESCAPE)
    terminal.until("Ask anything")

    # Quit, and find the chat again. From here on replies may be long, to be stopped for sure.
    terminal.type(ctrl("q"))
    assert_given_back(terminal, settings)
    configure(home, max_tokens=400)
    open_app(terminal)
    terminal.type(ctrl("b"))
    terminal.until("What makes a good walking holiday", r"‹\s+2/2\s+›")

    # Stop.
    terminal.type(f"/strength 0{ENTER}")
    terminal.until("0.00 base")
    terminal.type(f"Tell a long story of a lighthouse.{ENTER}")
    terminal.until("▌ Tell a long story", "▸ writing")
    terminal.type(ESCAPE)
    terminal.until("■ stopped ·")

    # The engine is killed: what was said stays, and the next message starts another one.
    engine_of(terminal).kill()
    terminal.until("× engine stopped", "your next message will restart the engine")
    terminal.type(f"Say hello.{ENTER}")
    terminal.until("▌ Say hello")  # a long reply has it leave the screen
    terminal.until(r"0\.00 base · \d+ tokens?, ", "● ready")

    # Search.
    terminal.type(ctrl("l"))
    terminal.until("─ Chats ─", "What makes a good walking holiday.* 7 ", "/ Search")
    terminal.type("/lighthouse")
    terminal.until("^│ +you +Tell a long story of a lighthouse")
    terminal.type(ESCAPE)
    terminal.until("Search all messages")
    terminal.type(ESCAPE)
    terminal.until("Ask anything")

    # Quit by Ctrl+C twice.
    terminal.type(ctrl("c"))
    terminal.until("Press Ctrl.C again to quit")
    terminal.type(ctrl("c"))
    terminal.until(f"^{PROMPT}$")
    terminal.type(f"clear; echo what was here before; stty -g{ENTER}")
    terminal.until(f"^{settings}")
    assert terminal.is_plain()
