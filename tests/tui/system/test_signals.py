"""Whatever the app is at, a closed terminal and a signal end it, and its engine with it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.checks import comes, tortures
from tests.closing import Closable
from tests.terminals import PROMPT, Emulated
from tests.tiny_models import write_llama

pytestmark = pytest.mark.model

CTRL_Q, CTRL_Z = b"\x11", "\x1a"
IN_USE = {"1000", "1003", "1006", "1004", "2004", "2048", "1016", "1049", "25", "7", "keyboard"}
ENTER = "\r"
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


def heard(terminal: Closable, keys: bytes, about: Callable[[], bool]) -> bool:
    """Whether it becomes so by these keys, typed again and again: what is typed while the app takes
    the terminal once more is dropped."""

    def is_so() -> bool:
        terminal.type(keys)
        return about()

    return comes(is_so)


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


def lives(process: psutil.Process) -> bool:
    """Whether it has not ended; its shell may not have asked how it did yet."""
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def stopped(terminal: Closable) -> None:
    ready(terminal)
    terminal.app.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, terminal.app.pid, os.WSTOPPED | os.WNOWAIT)


@pytest.mark.parametrize("moment", [begun, frozen_while_it_writes, stopped, *tortures(frozen)])
def test_a_closed_terminal_leaves_nothing_alive(
    opened: Closable, moment: Callable[[Closable], None]
) -> None:
    moment(opened)
    opened.close()
    assert comes(lambda: not opened.living())


@pytest.mark.parametrize("wrapped", [False, True], ids=["by-itself", "in-a-script"])
def test_ctrl_z_goes_to_the_shell_and_fg_comes_back_to_the_same_engine(
    tmp_path: Path, wrapped: bool
) -> None:
    write_llama(tmp_path / "tiny.gguf")
    command = f"{sys.executable} -m amulet_local -m tiny.gguf -p concise"
    (tmp_path / "script").write_text(f"{command}\necho ended\n", "utf-8")
    terminal = Emulated(tmp_path, {})
    try:
        terminal.until(f"^{PROMPT}")
        terminal.type(("sh script" if wrapped else command) + ENTER)
        terminal.until("ready")
        (job,) = psutil.Process(terminal.shell).children()
        (app,) = job.children() if wrapped else [job]
        (engine,) = app.children()
        terminal.type(CTRL_Z)
        terminal.until(f"^{PROMPT} $|^{PROMPT}$")
        assert comes(lambda: app.status() == psutil.STATUS_STOPPED)
        assert terminal.is_plain()
        assert engine.status() != psutil.STATUS_STOPPED
        terminal.type(f"fg{ENTER}")
        terminal.until("Ask anything", "ready")
        terminal.type(f"Tell me a story.{ENTER}")
        terminal.until("▌ Tell me a story", "tokens/s|first after")
        assert app.children() == [engine]
    finally:
        terminal.close()


@pytest.mark.parametrize(
    "signals",
    ["TSTP TERM", "STOP HUP", *tortures("TSTP HUP", "TSTP QUIT", "STOP TERM", "STOP QUIT")],
)
def test_a_job_that_is_stopped_behind_a_shell_ends_by_a_signal_once_it_goes_on(
    tmp_path: Path, signals: str
) -> None:
    stop, name = signals.split()
    write_llama(tmp_path / "tiny.gguf")
    terminal = Emulated(tmp_path, {})
    try:
        terminal.until(f"^{PROMPT}")
        terminal.type(f"{sys.executable} -m amulet_local -m tiny.gguf -p concise{ENTER}")
        terminal.until("ready")
        (app,) = psutil.Process(terminal.shell).children()
        processes = [app, *app.children()]
        app.send_signal(getattr(signal, f"SIG{stop}"))
        terminal.until("Stopped")
        app.send_signal(getattr(signal, f"SIG{name}"))
        app.send_signal(signal.SIGCONT)
        assert comes(lambda: not any(map(lives, processes)))
        assert comes(terminal.is_plain)
    finally:
        terminal.close()


def test_a_suspended_app_leaves_the_terminal_as_it_was_and_comes_back(opened: Closable) -> None:
    ready(opened)
    assert comes(lambda: opened.modes() >= IN_USE)
    for _ in range(2):
        opened.app.send_signal(signal.SIGTSTP)
        os.waitid(os.P_PID, opened.app.pid, os.WSTOPPED)
        assert comes(lambda: opened.modes() == set())
        opened.app.send_signal(signal.SIGCONT)
        assert comes(lambda: opened.modes() >= IN_USE)
    opened.app.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, opened.app.pid, os.WSTOPPED)
    for _ in range(3):
        opened.app.send_signal(signal.SIGCONT)
        time.sleep(0.1)
    assert heard(opened, b"still here", lambda: b"still here" in opened.output)
    assert heard(opened, CTRL_Q, lambda: not opened.living())
    assert opened.app.wait() == 0
    assert opened.modes() == set()


def test_a_signal_while_the_terminal_is_asked_for_its_colour_leaves_it_as_it_was(
    opened: Closable,
) -> None:
    until(opened, b"]11;?")
    opened.app.send_signal(signal.SIGTERM)
    assert opened.app.wait() == 128 + signal.SIGTERM
    assert opened.modes() == set()


def test_told_to_stop_and_to_go_on_at_once_it_goes_on(opened: Closable) -> None:
    ready(opened)
    for _ in range(6):
        opened.app.send_signal(signal.SIGTSTP)
        time.sleep(0.002)  # else the system itself drops the first
        opened.app.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        assert psutil.Process(opened.app.pid).status() != psutil.STATUS_STOPPED
    assert heard(opened, b"still here", lambda: b"still here" in opened.output)


def test_a_signal_at_the_very_end_is_not_told_of(opened: Closable) -> None:
    ready(opened)
    opened.type(CTRL_Q)
    for name in ("TSTP", "TERM", "CONT"):
        time.sleep(0.05)
        opened.app.send_signal(getattr(signal, f"SIG{name}"))
    assert comes(lambda: not opened.living())
    assert opened.modes() == set()
    assert b"Exception" not in opened.output


def test_after_each_stop_the_terminal_is_taken_again(opened: Closable) -> None:
    """Another program may have had it meanwhile."""
    ready(opened)
    for _ in range(3):
        opened.app.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, opened.app.pid, os.WSTOPPED)
        opened.forget()
        opened.app.send_signal(signal.SIGCONT)
        assert comes(lambda: b"\x1b[?1049h" in opened.output)


@pytest.mark.parametrize(
    "signals",
    [
        "CONT CONT CONT TERM",
        "STOP TERM CONT",
        "TSTP HUP CONT",
        "TSTP CONT TSTP CONT STOP CONT QUIT",
        *tortures(
            "STOP CONT TERM",
            "CONT TERM",
            "TSTP TERM CONT",
            "TSTP CONT TERM",
            "CONT QUIT",
            "QUIT TSTP CONT",
            "HUP",
            "INT CONT",
        ),
    ],
)
def test_whatever_signals_come_it_ends_and_leaves_a_sane_terminal(
    signals: str, opened: Closable
) -> None:
    ready(opened)
    for name in signals.split():
        with suppress(ProcessLookupError):
            opened.app.send_signal(getattr(signal, f"SIG{name}"))
        time.sleep(0.2)
    assert comes(lambda: not opened.living())
    assert opened.modes() == set()


@pytest.mark.parametrize("name", ["TERM", "INT", *tortures("HUP", "QUIT")])
def test_while_it_starts_a_signal_ends_it_at_once(name: str, opened: Closable) -> None:
    begun(opened)
    opened.app.send_signal(getattr(signal, f"SIG{name}"))
    assert comes(lambda: not opened.living())
    assert opened.app.wait() == 128 + getattr(signal, f"SIG{name}")
    assert opened.modes() == set()


def test_bytes_that_are_no_text_end_nothing_nor_does_ctrl_z_without_a_shell(
    opened: Closable,
) -> None:
    ready(opened)
    opened.type(b"\xff\xc3\x28 hi")
    until(opened, b"hi")
    opened.type(CTRL_Z.encode())
    until(opened, b"This app was not started from a")  # the rest is on the next line
    until(opened, b"shell, so it cannot be suspended.")
    assert opened.app.poll() is None


@pytest.mark.parametrize("moment", [frozen_while_it_writes, *tortures(frozen)])
def test_the_key_to_quit_ends_an_app_that_waits_for_its_terminal(
    moment: Callable[[Closable], None], opened: Closable
) -> None:
    moment(opened)
    opened.type(CTRL_Q)
    assert comes(lambda: not opened.living())
    opened.close()


def test_a_signal_ends_an_app_that_waits_for_its_terminal(opened: Closable) -> None:
    frozen(opened)
    opened.app.send_signal(signal.SIGTERM)
    assert comes(lambda: not opened.living())
    assert opened.app.wait() == 128 + signal.SIGTERM
    opened.close()
