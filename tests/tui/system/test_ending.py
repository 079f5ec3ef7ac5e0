"""How long a process has from the key to its end, by a clock of the test's own."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import AsyncIterator

import pytest
from textual.app import App

from tests.checks import comes
from tui.system import signals, terminal

DAY_S = 86_400.0


def test_the_time_to_end_counts_from_the_key_however_late_the_app_comes_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(signals, "LIMIT_S", DAY_S)
    monkeypatch.setattr(os, "_exit", ended.append)
    ending, heard = signals.Ending(lambda _: True, lambda: None), threading.Event()
    monkeypatch.setattr(signals, "monotonic", lambda: 0.0)
    ending.asked(heard)
    monkeypatch.setattr(signals, "monotonic", lambda: DAY_S - 0.01)
    heard.set()
    ending.begin(7)
    assert comes(lambda: ended == [7])


def test_a_key_that_was_no_end_takes_no_time_from_a_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    ending = signals.Ending(lambda _: True, lambda: None)
    monkeypatch.setattr(ending, "_end_unless", lambda *about: waits.append(about[-1]))
    monkeypatch.setattr(signals, "monotonic", lambda: 0.0)
    ending.asked(threading.Event())
    monkeypatch.setattr(signals, "monotonic", lambda: DAY_S)
    ending.begin(0)
    assert waits == [signals.LIMIT_S] * 2


@pytest.fixture
async def driver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[terminal.SteadyDriver]:
    """One that has no terminal."""
    names = [signal.SIGTSTP, signal.SIGCONT]
    handlers = [signal.getsignal(number) for number in names]
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((90, 30)))
    monkeypatch.setattr(terminal, "_terminal", lambda: sys.__stderr__)
    yield terminal.SteadyDriver(App[None]())
    for number, handler in zip(names, handlers, strict=True):
        signal.signal(number, handler)


async def test_what_is_to_end_does_not_stop_any_more(
    driver: terminal.SteadyDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signals to end and to go on come while it gives the terminal back, in which it is told to
    stop: nobody would tell it to go on once more."""
    heard: list[int] = []
    stopped: list[int] = []

    def give_back() -> None:
        driver._in_use = False
        heard.append(signal.SIGTERM)

    monkeypatch.setattr(signals, "_heard", heard)
    monkeypatch.setattr(driver, "_in_use", True)
    monkeypatch.setattr(driver, "suspend_application_mode", give_back)
    monkeypatch.setattr(os, "killpg", lambda _, number: stopped.append(number))
    driver._suspend()
    assert heard == [signal.SIGTERM]
    assert stopped == []
