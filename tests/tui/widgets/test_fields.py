"""Fields do what is typed in its order, however fast it comes."""

from __future__ import annotations

import pytest

from tests.fake_engine import FakeEngine
from tests.tui.running import chat
from tui.screens.chats import ChatsScreen
from tui.widgets.fields import Line


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (["o", "l", "d", "ctrl+u", "n", "e", "w"], "new"),
        (["t", "e", "h", "backspace", "backspace", "h", "e"], "the"),
        (["c", "t", "left", "a", "end", "s"], "cats"),
    ],
)
async def test_keys_that_edit_and_letters_take_turns(keys: list[str], text: str) -> None:
    async with chat(FakeEngine()) as running:
        for key in keys:
            running.app.simulate_key(key)
        await running.settle()
        assert running.prompt.text == text
        running.prompt.clear()
        await running.press("ctrl+l", "tab")
        assert isinstance(running.app.screen, ChatsScreen)
        line = running.app.screen.query_one(Line)
        line.focus()
        await running.settle()
        for key in keys:
            running.app.simulate_key(key)
        await running.settle()
        assert line.value == text


async def test_what_is_typed_at_once_is_sent_whole() -> None:
    async with chat(FakeEngine(["One."])) as running:
        running.prompt.insert("old")
        for key in ["ctrl+u", "h", "i", "enter"]:
            running.app.simulate_key(key)
        await running.settle()
        assert running.said == ["hi", "One."]
