"""Screens that were left are gone from memory: somebody chats for days."""

from __future__ import annotations

import gc
from collections import Counter

from textual._styles_cache import StylesCache

from tests.fake_engine import FakeEngine
from tests.tui.running import Running, chat

_OPENED = 4
_HELD = 3  # Textual remembers the last one, and timers that were stopped hold another for a moment


async def open_and_leave(running: Running, key: str) -> type:
    await running.press(key)
    opened = type(running.app.screen)
    assert opened is not type(running.screen)
    assert running.shown()
    await running.press("escape")
    assert running.app.screen is running.screen
    return opened


async def test_screens_that_were_left_are_not_held() -> None:
    async with chat(FakeEngine(["One."], *[["Two."]] * 3 * _OPENED)) as running:
        await running.say("Hello?")
        keys = ("ctrl+f", "ctrl+y", "ctrl+l", "ctrl+p", "ctrl+g")
        opened = [await open_and_leave(running, key) for key in keys for _ in range(_OPENED)]
        gc.collect()
        held = Counter(type(each) for each in gc.get_objects())
        assert held[type(running.screen)] == 1
        kinds = set(opened)
        assert len(kinds) == len(keys)
        assert {kind: held[kind] for kind in kinds if held[kind] > _HELD} == {}


async def test_what_was_drawn_of_screens_that_were_left_is_not_held() -> None:
    """A line that is drawn takes some kilobytes, by all that Textual remembers of it."""

    def drawn() -> int:
        gc.collect()
        return len([each for each in gc.get_objects() if type(each) is StylesCache])

    async with chat(FakeEngine(["One."])) as running:
        await running.say("Hello?")
        await open_and_leave(running, "ctrl+p")
        running.app.forget_drawn()
        first = drawn()
        for _ in range(_OPENED):
            await open_and_leave(running, "ctrl+p")
        assert drawn() > first + _OPENED
        running.app.forget_drawn()
        assert drawn() < first + _OPENED
