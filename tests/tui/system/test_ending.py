"""How long a process has from the key to its end, by a clock of the test's own."""

from __future__ import annotations

import os
import threading

import pytest

from tests.checks import comes
from tui.system import signals

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
