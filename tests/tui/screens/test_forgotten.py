"""Screens that were left are gone from memory: somebody chats for days."""

from __future__ import annotations

import gc

import pytest

from tests.fake_engine import FakeEngine
from tests.tui.running import chat


@pytest.mark.parametrize("key", ["ctrl+f", "ctrl+y", "ctrl+l", "ctrl+p", "ctrl+g"])
async def test_of_screens_that_were_left_at_most_the_last_is_held(key: str) -> None:
    """Textual itself remembers one."""
    async with chat(FakeEngine(["One."], *[["Two."]] * 9)) as running:
        await running.say("Hello?")
        await running.settle()
        opened = []
        for _ in range(3):
            await running.press(key)
            await running.settle()
            opened.append(type(running.app.screen))
            await running.press("escape")
            await running.settle()
        assert opened[0] is not type(running.screen)
        gc.collect()
        held = [each for each in gc.get_objects() if type(each) is opened[0]]
        assert len(held) <= 1
