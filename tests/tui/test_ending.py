"""Whatever the app is at, a closed terminal and a signal end it, and its engine with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checks import comes
from tests.closing import Closable
from tests.tiny_models import write_llama

QUESTION = b"Tell me a long story.\r"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Closable]:
    """The app on a tiny model, as it starts."""
    model = tmp_path / "tiny.gguf"
    write_llama(model)
    terminal = Closable(["-m", str(model), "-p", "concise"], {})
    yield terminal
    terminal.kill()


def until(terminal: Closable, text: bytes) -> None:
    """Wait for something to be drawn."""
    assert comes(lambda: text in terminal.output)


def begun(terminal: Closable) -> None:
    until(terminal, b"\x1b[?1049h")


def ready(terminal: Closable) -> None:
    until(terminal, b"ready")


def frozen(terminal: Closable) -> None:
    ready(terminal)
    terminal.freeze()


def frozen_while_it_writes(terminal: Closable) -> None:
    ready(terminal)
    terminal.type(QUESTION)
    until(terminal, b"writing")
    terminal.freeze()


def stopped(terminal: Closable) -> None:
    ready(terminal)
    terminal.app.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, terminal.app.pid, os.WSTOPPED | os.WNOWAIT)


@pytest.mark.parametrize("moment", [begun, frozen, frozen_while_it_writes, stopped])
def test_a_closed_terminal_leaves_nothing_alive(
    opened: Closable, moment: Callable[[Closable], None]
) -> None:
    moment(opened)
    opened.close()
    assert comes(lambda: not opened.living())


def test_a_signal_ends_an_app_that_waits_for_its_terminal(opened: Closable) -> None:
    frozen(opened)
    opened.app.send_signal(signal.SIGTERM)
    assert comes(lambda: not opened.living())
    assert opened.app.wait() == 128 + signal.SIGTERM
    opened.close()
