"""Screens that were left are gone from memory: somebody chats for days."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from textual._styles_cache import StylesCache

from tests.fake_engine import FakeEngine
from tests.tui.running import Running, chat
from tui.system.garbage import Leftovers, forget_drawn

_OPENED = 3
_USUALLY = 400_000  # blocks of memory
_LOOKS, _BETWEEN_LOOKS_S = 5000, 0.02  # a minute and more where the machine is busy


async def open_and_leave(running: Running, key: str) -> weakref.ref[Any]:
    await running.press(key)
    opened = weakref.ref(running.app.screen)
    assert opened() is not running.screen
    assert running.shown()
    await running.press("escape")
    assert running.app.screen is running.screen
    return opened


@pytest.fixture(autouse=True)
def _by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process of its own: what earlier tests left is neither looked at nor counted."""
    gc.freeze()
    blocks, left = sys.getallocatedblocks, sys.getallocatedblocks()
    monkeypatch.setattr(sys, "getallocatedblocks", lambda: _USUALLY + blocks() - left)


async def soon(about: Callable[[], bool]) -> bool:
    """Whether it becomes so. A stopped timer holds what it was for until it had been due."""
    for _ in range(_LOOKS):
        if about():
            return True
        await asyncio.sleep(_BETWEEN_LOOKS_S)
    return False


async def are_gone(
    left: Sequence[weakref.ref[Any]], collect: Callable[[], object] = lambda: None
) -> bool:
    """All but the last, which Textual remembers, before long."""

    def about() -> bool:
        collect()
        return len([each for each in left if each()]) <= 1

    return await soon(about)


async def test_what_screens_leave_goes_once_nothing_happens() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("Hello?")
        left = [await open_and_leave(running, "ctrl+l") for _ in range(_OPENED)]
        assert await are_gone(left)


async def test_screens_that_were_left_are_not_held() -> None:
    async with chat(FakeEngine(["One."], *[["Two."]] * 3 * _OPENED)) as running:
        await running.say("Hello?")
        keys = ("ctrl+f", "ctrl+y", "ctrl+l", "ctrl+p", "ctrl+g")
        left = {key: [await open_and_leave(running, key) for _ in range(_OPENED)] for key in keys}
        assert [key for key in keys if not await are_gone(left[key], gc.collect)] == []


async def test_what_was_drawn_of_screens_that_were_left_is_not_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A line that is drawn takes some kilobytes, by all that Textual remembers of it."""

    def drawn() -> int:
        gc.collect()
        return len([each for each in gc.get_objects() if type(each) is StylesCache])

    monkeypatch.setattr(Leftovers, "look", lambda _: None)  # which forgets it, too
    async with chat(FakeEngine(["One."])) as running:
        await running.say("Hello?")
        await open_and_leave(running, "ctrl+p")
        forget_drawn()
        first = drawn()
        for _ in range(_OPENED):
            await open_and_leave(running, "ctrl+p")
        assert drawn() > first + _OPENED
        forget_drawn()
        assert await soon(lambda: drawn() < first + _OPENED)
