"""Writing and changing presets in the form, and guard and placement beside the dial."""

from __future__ import annotations

from textual.widgets import Input, TextArea

from amulet_local.presets.preset import load_presets
from tests.asking import built_in_strength
from tests.fake_engine import FakeEngine
from tests.tui.running import SMALL, Running, chat
from tui.screens.chat import ChatScreen
from tui.screens.preset_form import PresetForm
from tui.widgets.dial import Dial


async def write(running: Running, field: str, text: str) -> None:
    """Put a text into a field, in place of what is there."""
    widget = running.app.screen.query_one(f"#field-{field}")
    if isinstance(widget, Input):
        widget.value = text
    elif isinstance(widget, TextArea):
        widget.text = text
    await running.settle()


def is_open(running: Running) -> bool:
    return isinstance(running.app.screen, PresetForm)


async def test_a_preset_that_is_written_is_saved_and_chosen() -> None:
    engine = FakeEngine()
    async with chat(engine, size=SMALL) as running:
        await running.press("ctrl+p", "ctrl+n", *"pirate", "tab")
        await running.press(*"Arr", "ctrl+s")
        assert isinstance(running.app.screen, ChatScreen)
        await running.say("Hi")
        assert engine.requests[0].alignment.preference == "Arr"
    assert load_presets().get("pirate").preference == "Arr"


async def test_a_built_in_one_becomes_the_users_own_and_counts_at_once() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+p", "ctrl+e")
        await write(running, "strength", "3,5")
        await write(running, "placement", "turn")
        await running.press("ctrl+s")
        assert running.session.steering.strength == 3.5
        assert running.session.steering.placement == "turn"
    saved = load_presets().get("concise")
    assert not saved.built_in
    assert saved.strength == 3.5


async def test_saving_what_was_not_changed_copies_nothing() -> None:
    async with chat(FakeEngine()) as running:
        await running.say("/edit-preset")
        await running.press("ctrl+s")
        assert running.session.steering.strength == built_in_strength("concise")
    assert load_presets().get("concise").built_in


async def test_the_field_of_the_strength_and_the_dial_say_the_same() -> None:
    async with chat(FakeEngine()) as running:
        await running.say("/edit-preset thrifty")
        await write(running, "strength", "1")
        dial = running.app.screen.query_one(Dial)
        assert dial.strength == 1.0
        dial.focus()
        await running.press("right")
        assert running.app.screen.query_one("#field-strength", Input).value == "1.1"


async def test_what_cannot_be_is_said_and_nothing_is_lost() -> None:
    async with chat(FakeEngine()) as running:
        for field, text, said in (
            ("strength", "firm", "Strength: "),
            ("guard", "3", "Guard: "),
            ("placement", "below", "Placement: "),
            ("temperature", "", "Temperature: "),
            ("preference", " ", "Preference: "),
            ("name", "My Preset", "lower-case letters"),
            ("name", "thrifty", "There is already a preset called thrifty"),
        ):
            await running.say("/edit-preset")
            await write(running, field, text)
            await running.press("ctrl+s")
            assert is_open(running)
            assert said in running.shown()
            await running.press("escape", "escape")
            assert not is_open(running)
    assert load_presets().get("concise").built_in


async def test_what_was_typed_goes_only_if_it_is_said_twice() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+p", "ctrl+n", *"mine", "escape")
        assert is_open(running)
        assert "Not saved yet" in running.shown()
        await running.press("escape")
        assert not is_open(running)


async def test_what_was_typed_after_the_warning_takes_another_one() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+p", "ctrl+n", *"mine", "escape", *"too", "escape")
        assert is_open(running)
        await running.press("escape")
        assert not is_open(running)


async def test_a_new_one_begins_with_the_words_of_the_chat() -> None:
    async with chat(FakeEngine()) as running:
        await running.say("/prefer Talk like a pirate.")
        await running.say("/write-preset")
        assert "Talk like a pirate." in running.shown()
        await running.press(*"pirate", "ctrl+s")
        preset = running.session.steering.preset
        assert preset
        assert preset.name == "pirate"


# -- guard and placement --------------------------------------------------------------------------


async def test_keys_beside_the_dial_set_guard_and_placement() -> None:
    engine = FakeEngine()
    async with chat(engine) as running:
        assert "guard 0.1 · in the system prompt" in running.shown()
        await running.press("ctrl+t", "g", "t")
        assert "guard 0.2 · in the newest message" in running.shown()
        await running.press("g", "g")
        assert "no guard" in running.shown()
        await running.press("enter")
        await running.say("Hi")
        assert engine.requests[0].alignment.guard == 0.0
        assert engine.requests[0].alignment.placement == "turn"


async def test_commands_set_them_too() -> None:
    async with chat(FakeEngine()) as running:
        await running.say("/guard 0,25")
        await running.say("/placement turn")
        assert running.session.steering.guard == 0.25
        assert running.session.steering.placement == "turn"
        await running.say("/guard lots")
        await running.say("/placement below")
        assert running.session.steering.guard == 0.25
        assert "The guard must be a number" in running.notified[-2]
        assert "system or turn" in running.notified[-1]


async def test_a_click_sets_them() -> None:
    async with chat(FakeEngine()) as running:
        await running.pilot.click("#how", offset=(2, 0))
        await running.pilot.click("#how", offset=(16, 0))
        await running.settle()
        assert running.session.steering.guard == 0.2
        assert running.session.steering.placement == "turn"


async def test_without_a_preference_the_guard_is_for_wishes() -> None:
    async with chat(FakeEngine(), preset="") as running:
        await running.say("/guard 0.2")
        assert "this is for wishes (!!)" in running.notified[-1]
