"""What claims are made with: sets that are not empty, work that is counted, things waited for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from types import FrameType
from typing import TypeVar

import pytest
from _pytest.mark import ParameterSet

_PATIENCE_S = 240  # for slow and busy machines; what is waited for mostly comes in a second or few
_LOOKS_PER_S = 25

T = TypeVar("T")


def some(things: Iterable[T]) -> list[T]:
    """These things, of which there is at least one: what is claimed of each is claimed of some."""
    found = list(things)
    assert found, "there is nothing to claim it of"
    return found


def tortures(*rows: object) -> list[ParameterSet]:
    """Rows of a table that only `make torture` tries, since each takes a process or a tenth of a
    second, and those beside them show every way that there is."""
    return [pytest.param(row, marks=pytest.mark.torture) for row in rows]


def calls(act: Callable[[], object]) -> int:
    """How many functions are called meanwhile, in Python or C: work, which no clock measures."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count


def comes(about: Callable[[], object]) -> bool:
    """Wait until it is so; False where patience ends."""
    deadline = time.monotonic() + _PATIENCE_S
    while not about():
        if time.monotonic() > deadline:
            return False
        time.sleep(1 / _LOOKS_PER_S)
    return True
