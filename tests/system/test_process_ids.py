"""Which process is at something."""

from __future__ import annotations

import os
from typing import NoReturn

import psutil
import pytest

from amulet_local.system.process_ids import is_alive, this_process

DEAD = "999999999 1.0"


def test_this_process_is_alive_and_one_that_is_gone_is_not() -> None:
    assert is_alive(this_process())
    assert [is_alive(name) for name in (DEAD, f"{os.getpid()} 1.0", "", "no process")] == [
        False
    ] * 4


def test_where_no_process_can_be_seen_none_is_taken_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unseen(*_: object) -> NoReturn:  # as without /proc
        raise psutil.NoSuchProcess(os.getpid())

    monkeypatch.setattr(psutil, "Process", unseen)
    assert this_process() == f"{os.getpid()} 0.0"
    assert is_alive(this_process())
    assert is_alive(DEAD)
    assert not is_alive("no process")
