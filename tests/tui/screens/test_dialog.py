"""Screens over the chat are left once: what is meant for them and comes late leaves no other."""

from __future__ import annotations

import pytest
from textual.events import MouseDown, MouseEvent, MouseUp

from tests.fake_engine import FakeEngine
from tests.tui.running import chat
from tui.palette import Palette
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


@pytest.mark.parametrize("below", ["", "ctrl+l", "ctrl+g"])
async def test_clicks_and_keys_right_behind_those_that_leave_the_palette_do_nothing(
    below: str,
) -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.press(*filter(None, [below]))
        opened = running.app.screen
        for opens in ("action_command_palette", "action_choose_theme"):
            getattr(running.app, opens)()
            await running.settle()
            palette = running.app.screen
            assert isinstance(palette, Palette)
            for kind in (MouseDown, MouseUp) * 2:  # a double click beside it
                running.app.post_message(mouse(kind))
            await running.settle()
            assert running.app.screen is opened
            await palette.dismiss(None)
            assert running.app.screen is opened
        assert running.notified == []


async def test_a_command_is_done_once_however_often_enter_is_pressed() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.press("ctrl+o", *"placement")
        await running.until("Where the preference goes")
        for _ in range(4):
            running.app.simulate_key("enter")
        await running.settle()
        assert running.app.screen is running.screen
        assert running.session.steering.placement == "turn"


def mouse(kind: type[MouseEvent]) -> MouseEvent:
    """At the left edge."""
    return kind(None, 0, 20, 0, 0, 1, False, False, False, screen_x=0, screen_y=20)


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
