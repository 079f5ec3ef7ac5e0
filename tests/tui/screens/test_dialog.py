"""Screens over the chat are left once: what is meant for them and comes late leaves no other."""

from __future__ import annotations

import pytest

from tests.fake_engine import FakeEngine
from tests.tui.running import chat
from tui.screens.dialog import Dialog
from tui.screens.help import HelpScreen
from tui.screens.preset_picker import PresetPicker


@pytest.mark.parametrize("key", ["ctrl+f", "ctrl+y", "ctrl+l", "ctrl+p", "ctrl+g"])
async def test_a_screen_that_was_left_leaves_no_other(key: str) -> None:
    async with chat(FakeEngine(["One."], *[["Two."]] * 3)) as running:
        await running.say("Hello?")
        await running.press(key)
        opened = running.app.screen
        assert isinstance(opened, Dialog)
        await running.press("escape")
        assert running.app.screen is running.screen
        await opened.dismiss(None)
        assert running.app.screen is running.screen
        await running.press("ctrl+g")
        await opened.dismiss(None)
        assert isinstance(running.app.screen, HelpScreen)


async def test_a_preset_is_not_chosen_once_its_list_was_left() -> None:
    async with chat(FakeEngine(["One."])) as running:
        before = running.screen.session.steering
        await running.press("ctrl+p", "down")
        picker = running.app.screen
        assert isinstance(picker, PresetPicker)
        picker.action_close()
        picker.action_choose()  # a key that was typed right behind
        await running.settle()
        assert running.app.screen is running.screen
        assert running.screen.session.steering == before
        assert running.notified == []
