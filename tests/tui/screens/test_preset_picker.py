"""Choosing a preset: by arrows, by typing, by mouse; and leaving it as it is."""

from __future__ import annotations

import re
from pathlib import Path

from textual.widgets import OptionList

from amulet_local.presets.preset import GROUPS, USUAL_STRENGTH
from amulet_local.settings import presets_folder
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import SMALL, Running, chat
from tui.screens.preset_picker import PresetPicker


def chosen(running: Running) -> str:
    preset = running.session.steering.preset
    return preset.name if preset else ""


def own_preset(name: str, text: str) -> Path:
    path = presets_folder() / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


async def test_it_opens_at_the_current_one_with_its_words() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+p")
        shown = " ".join(running.shown().replace("│", " ").split())
        assert "● Concise" in shown
        assert "Short: only what matters." in shown
        assert "Your answer should be concise" in shown


async def test_presets_stand_in_their_groups_after_no_preset() -> None:
    async with chat(FakeEngine(), size=(120, 60)) as running:
        await running.press("ctrl+p")
        options = running.app.screen.query_one(OptionList).options
        assert options[0].id == ""
        headings = [str(option.prompt) for option in options if option.disabled]
        assert headings == [title for group, title in GROUPS.items() if group != "own"]


async def test_typing_narrows_the_list_and_enter_takes_the_first() -> None:
    engine = FakeEngine()
    async with chat(engine, size=SMALL) as running:
        await running.press("ctrl+p")
        for key in ("p", "r", "i", "v", "enter"):
            running.app.simulate_key(key)  # faster than the list can follow
        await running.settle()
        assert chosen(running) == "privacy-first"
        assert "Privacy first" in running.shown()
        assert running.prompt.has_focus
        await running.say("Hi")
        assert "privacy" in engine.requests[0].alignment.preference


async def test_words_of_the_description_and_of_the_group_are_found_too() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+p", *"offline")
        assert "No internet" in running.shown()
        await running.press("escape")
        await running.press("ctrl+p", *"paper")
        assert "Sycophantic" in running.shown()


async def test_arrows_move_over_headings_and_take_the_strength_of_the_preset_along() -> None:
    async with chat(FakeEngine(), preset="no-flattery") as running:
        await running.press("ctrl+t", "b", "ctrl+p", "down", "enter")
        assert chosen(running) == "around-the-world"
        preset = running.session.steering.preset
        assert preset
        assert running.session.steering.strength == preset.usual_strength


async def test_no_preset_can_be_chosen() -> None:
    engine = FakeEngine()
    async with chat(engine) as running:
        await running.press("ctrl+p", *"none", "enter")
        assert chosen(running) == ""
        await running.say("Hi")
        assert engine.requests[0].alignment.method == "base"


async def test_a_click_chooses() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+p", *"verb")
        await running.pilot.click(OptionList, offset=(3, 1))
        await running.settle()
        assert chosen(running) == "verbose"


async def test_a_click_on_the_name_opens_it() -> None:
    async with chat(FakeEngine()) as running:
        await running.pilot.click("#preset")
        await running.settle()
        assert isinstance(running.app.screen, PresetPicker)


async def test_escape_leaves_everything_as_it_is() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+t", "l", "ctrl+p", "down", "escape")
        assert chosen(running) == "concise"
        assert running.session.steering.strength == 3.0


async def test_q_is_a_letter_here_and_nothing_fitting_is_said() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+p", "q", "q", "q")
        assert "No matches" in running.shown()
        await running.press("enter")
        assert isinstance(running.app.screen, PresetPicker)


async def test_a_choice_while_a_reply_streams_counts_from_the_next_message() -> None:
    engine = FakeEngine(["One", HOLD], ["Two"])
    async with chat(engine) as running:
        await running.say("a?")
        await running.press("ctrl+p", *"verbose", "enter")
        assert "→ from the next message" in running.shown()
        engine.go_on()
        await running.settle()
        await running.say("b?")
        asked = [request.alignment.preference for request in engine.requests]
        assert "concise" in asked[0]
        assert "verbose" in asked[1]


async def test_presets_of_the_users_own_are_there_and_bad_files_are_named() -> None:
    own_preset("pirate", 'title = "[b]Pirate[/]"\npreference = "Talk like a pirate [/x]."')
    path = own_preset("broken", "preference = ")
    async with chat(FakeEngine(), size=(160, 48)) as running:
        await running.press("ctrl+p", *"pirate")
        assert "[b]Pirate[/]" in running.shown()
        assert "Talk like a pirate [/x]." in running.shown()
        window = "".join(re.findall("│(.*)│", running.shown()))
        shown = "".join(window.split())  # the path is folded, in a window over others
        assert str(path) in shown
        assert "line1" in shown
        await running.press("enter")
        assert running.session.steering.strength == USUAL_STRENGTH
        assert "[b]Pirate[/]" in running.shown()


async def test_with_the_keys_in_the_list_letters_move_as_in_vim() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+p", "tab")
        options = running.app.screen.query_one(OptionList)
        assert options.has_focus
        await running.press("g")
        first = options.highlighted
        await running.press("j")
        assert options.highlighted != first
        await running.press("k")
        assert options.highlighted == first
        await running.press("G")
        assert options.highlighted == options.option_count - 1
