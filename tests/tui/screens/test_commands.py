"""Commands behind a slash, files behind an @, earlier inputs, drafts, the palette, own keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from amulet_local.presets.mixes import Mixes, load_mixes
from amulet_local.presets.preset import load_presets
from amulet_local.settings import config_folder, load_settings
from tests.checks import some
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import SMALL, chat
from tui.actions import commands, key_problems
from tui.screens import writing


async def test_a_slash_lists_commands_and_what_is_typed_narrows_them() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("/")
        assert "/preset name" in running.shown()
        await running.press("n", "e")
        assert "/preset name" not in running.shown()
        assert "/new" in running.shown()
        await running.press("escape")
        assert not running.screen.completions.display
        assert running.prompt.text == "/ne"


async def test_enter_takes_the_command_at_hand_and_tab_only_completes_it() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("a?")
        await running.press("/", "n", "e", "tab")
        assert running.prompt.text == "/new"
        await running.press("enter")
        assert running.said == []
        await running.press("/", "p", "r", "e", "s", "enter")
        assert running.prompt.text == "/preset "
        assert running.said == []


async def test_commands_take_what_follows_them() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("/preset verbose")
        assert running.session.steering.title == "Verbose"
        await running.say("/strength 2,5")
        assert running.session.steering.strength == 2.5
        await running.say("/strength much")
        assert "The strength must be a number" in running.shown()
        await running.say("/prefer Answer in rhymes.")
        assert running.session.steering.preference == "Answer in rhymes."
        assert "Your own words" in running.shown()
        await running.say("/preset none")
        assert running.session.steering.preference == ""
        await running.say("/preset nosuch")
        assert "There is no preset called" in running.shown()
        await running.say("Hi")
        await running.say("/rename My own title")
        assert "My own title" in running.shown().split("\n")[0]


async def test_an_unknown_command_stays_to_be_mended_and_a_path_is_a_text() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("/nwe")
        assert "There is no command /nwe" in running.shown()
        assert running.prompt.text == "/nwe"
        running.prompt.clear()
        await running.say("/usr/bin is full")
        assert running.said == ["/usr/bin is full", "One."]


async def test_a_command_with_words_that_it_cannot_take_does_nothing() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("a?")
        for typed in ("/quit smoking, but how?", "/delete the last word", "/new ideas"):
            await running.say(typed)
            assert running.prompt.text == typed
            assert running.said == ["a?", "One."]
            assert running.notified[-1].endswith("takes nothing behind it, so nothing was done.")
            running.prompt.clear()
        assert running.app.is_running


async def test_enter_does_what_is_typed_in_full_before_what_only_begins_so() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("a?")
        for name in some(commands()):
            running.prompt.write(f"/{name}")
            await running.settle()
            chosen = running.screen.completions.chosen
            assert chosen
            assert chosen.insert.rstrip() == f"/{name}"


async def test_a_theme_is_chosen_by_its_name() -> None:
    async with chat(FakeEngine()) as running:
        await running.say("/theme nord")
        assert running.app.theme == "nord"
        await running.say("/theme nosuch")
        assert "There is no theme called nosuch" in running.shown()


async def test_what_is_not_being_fetched_cannot_be_stopped_and_that_is_said() -> None:
    async with chat(FakeEngine()) as running:
        await running.say("/pull stop")
        assert running.notified == ["Nothing is being fetched."]


async def test_nothing_is_saved_as_a_mix_of_nothing() -> None:
    async with chat(FakeEngine(), preset="") as running:
        await running.say("/save-mix mine")
        assert running.notified == ["There is no preference to save; choose a preset first."]
        assert load_mixes(load_presets()) == Mixes({}, {})


async def test_every_command_can_be_carried_out() -> None:
    async with chat(FakeEngine()) as running:
        for action in some(commands().values()):
            method = f"action_{action.name.removeprefix('screen.').split('(')[0]}"
            assert hasattr(running.screen, method) or hasattr(running.app, method), method


# -- files ----------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a text, a binary and a folder in it, where the app was started."""
    folder = tmp_path / "here"
    (folder / "sub").mkdir(parents=True)
    (folder / "notes.md").write_text("The tide is high at noon.\n")
    (folder / "photo.png").write_bytes(b"\x89PNG\xff\xfe")
    (folder / "disk.img").write_bytes(b"MZ\0\0")
    (folder / "wide.txt").write_text("Où ?\r\n", "utf-16")
    (folder / "marked.txt").write_text("Là.\r\n", "utf-8-sig")
    (folder / "sub" / "deep.txt").write_text("deep")
    monkeypatch.chdir(folder)
    return folder


async def test_a_file_is_completed_and_its_text_goes_with_the_message(here: Path) -> None:
    engine = FakeEngine()
    async with chat(engine) as running:
        running.prompt.insert("Read @no")
        await running.settle()
        assert "notes.md" in running.shown()
        assert "26 bytes" in running.shown()
        await running.press("tab")
        assert running.prompt.text == "Read @notes.md "
        await running.press("enter")
        assert "Attached notes.md (26 bytes)." in running.shown()
        text = engine.requests[0].messages[0].text
        assert text == "Read @notes.md\n\nnotes.md:\n```md\nThe tide is high at noon.\n```"


async def test_a_text_with_a_byte_order_mark_is_attached_without_it(here: Path) -> None:
    engine = FakeEngine()
    async with chat(engine) as running:
        await running.say("Read @wide.txt and @marked.txt")
        _, wide, marked = engine.requests[0].messages[0].text.split("\n\n")
        assert wide == "wide.txt:\n```txt\nOù ?\n```"
        assert marked == "marked.txt:\n```txt\nLà.\n```"


async def test_a_folder_is_completed_step_by_step(here: Path) -> None:
    async with chat(FakeEngine()) as running:
        running.prompt.insert("@s")
        await running.settle()
        await running.press("tab")
        assert running.prompt.text == "@sub/"
        await running.settle()
        assert "deep.txt" in running.shown()


async def test_what_is_attached_is_there_once_also_when_it_is_edited(here: Path) -> None:
    (here / "notes.md").write_text("See @marked.txt for the tide.\n")
    engine = FakeEngine()
    async with chat(engine) as running:
        await running.say("Read @notes.md")
        first = engine.requests[0].messages[0].text
        assert "Là." not in first
        await running.press("ctrl+up", "k", "e")
        running.prompt.move_cursor((0, 0))
        await running.press("O", "enter")
        assert engine.requests[1].messages[0].text == f"O{first}"


async def test_what_cannot_be_attached_is_said_and_nothing_is_sent(here: Path) -> None:
    (here / "long").write_text("word " * 5000)
    engine = FakeEngine()
    async with chat(engine) as running:
        for name, reason in (
            ("photo.png", "photo.png is not UTF-8 text"),
            (
                "disk.img",
                "disk.img is a binary file (byte 3 is zero); only text files can be attached",
            ),
            ("long", "The file long is 25.0 kB, more than the model can hold"),
            ("sub", "folder sub cannot be attached"),
        ):
            running.prompt.clear()
            await running.say(f"See @{name}")
            assert reason in running.notified[-1]
            assert running.prompt.text == f"See @{name}"
        assert not engine.requests
        running.prompt.clear()
        await running.say("Write to me@example.org or @nobody")
        assert len(engine.requests) == 1


# -- what was typed before ------------------------------------------------------------------------


async def test_up_walks_back_through_earlier_inputs_and_down_returns_to_the_draft() -> None:
    async with chat(FakeEngine(["One."], ["Two."])) as running:
        await running.say("a?")
        await running.say("b?")
        running.prompt.insert("draft")
        for key, text in (
            ("up", "b?"),
            ("up", "a?"),
            ("up", "a?"),
            ("down", "b?"),
            ("down", "draft"),
            ("down", "draft"),
        ):
            await running.press(key)
            assert running.prompt.text == text


async def test_in_a_text_of_several_lines_the_arrows_move_first() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("a?")
        await running.press("x", "ctrl+j", "y", "up")
        assert running.prompt.text == "x\ny"
        await running.press("up")
        assert running.prompt.text == "a?"
        await running.press("down")
        assert running.prompt.text == "x\ny"


async def test_inputs_and_drafts_outlive_a_restart() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("a?")
        running.prompt.insert("half a tho")
        writing.save_draft(running.screen)
        first = running.session.chat.id
        await running.press("ctrl+n")
        assert running.prompt.text == ""
        running.prompt.insert("something new")
        writing.save_draft(running.screen)
    async with chat(FakeEngine()) as running:
        assert running.prompt.text == "something new"
        await running.press("ctrl+b")
        assert running.session.chat.id == first
        assert running.said == ["a?", "One."]
        assert running.prompt.text == "half a tho"
        running.prompt.clear()
        await running.press("up")
        assert running.prompt.text == "a?"


async def test_messages_that_wait_are_kept_as_a_draft() -> None:
    async with chat(FakeEngine(loading=(HOLD,))) as running:
        await running.say("first")
        running.prompt.insert("second")
        writing.save_draft(running.screen)
    async with chat(FakeEngine()) as running:
        assert running.prompt.text == "first\nsecond"


async def test_an_earlier_input_that_is_looked_at_is_no_draft() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("a?")
        await running.press(*"half", "up")
        assert running.prompt.text == "a?"
        writing.save_draft(running.screen)
        assert running.session.chat.draft == "half"


async def test_a_command_that_is_begun_for_one_takes_nothing_that_was_typed() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("a?")
        for action, begun in (("rename", "/rename a?"), ("prefer", "/prefer ")):
            running.prompt.write("half")
            await running.screen.run_action(action)
            await running.settle()
            assert running.prompt.text == begun
            await running.press("escape")
            assert running.prompt.text == "half"
            await running.screen.run_action(action)
            await running.press("!", "enter")
            assert running.prompt.text == "half"
        assert running.session.chat.title == "a?!"
        assert running.session.steering.words == "!"


async def test_messages_that_wait_come_back_once_and_in_their_order() -> None:
    async with chat(FakeEngine(loading=(HOLD,))) as running:
        for text in ("first", "second"):
            await running.say(text)
        running.prompt.insert("third")
        await running.press("ctrl+n")
        assert running.prompt.text == "first\nsecond\nthird"
        assert running.session.waiting == ()


# -- palette and keys -----------------------------------------------------------------------------


async def test_the_palette_finds_commands_by_their_words() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("a?")
        await running.press("ctrl+o")
        assert "Choose a preset" in running.shown()
        for letter in "fork":
            await running.press(letter)
        await running.until("Start a new chat from here")
        await running.press("enter")
        await running.until("Fork: a?")


async def test_keys_can_be_set_by_the_user_and_are_shown() -> None:
    keys = {"new_chat": "f5", "send": "ctrl+s", "message_before": "w"}
    async with chat(FakeEngine(["One."]), keys=keys) as running:
        assert "f5 New" in running.shown()
        running.prompt.insert("a?")
        await running.press("ctrl+s")
        assert running.said == ["a?", "One."]
        await running.press("ctrl+up", "w")
        selected = running.transcript.selected
        assert selected
        assert selected.message.text == "a?"
        await running.press("f5")
        assert running.said == []


def test_ids_that_no_action_has_are_told() -> None:
    assert key_problems(["new_chat", "dial_more"]) == []
    (told,) = key_problems(["new_chat", "fly", "dial_more"])
    assert told.endswith("unknown actions: fly")


def test_the_config_takes_keys_and_a_theme() -> None:
    config_folder().mkdir(parents=True)
    text = 'theme = "nord"\n[keys]\nnew_chat = "f5"\n'
    (config_folder() / "config.toml").write_text(text)
    settings = load_settings()
    assert (settings.theme, settings.keys) == ("nord", {"new_chat": "f5"})


async def test_the_help_scrolls_by_letters_too() -> None:
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+g")
        window = running.app.screen.query_one("#window")
        places = []
        for key in ("j", "k", "G", "g"):
            await running.press(key)
            places.append(window.scroll_y)
        assert places == [1, 0, window.max_scroll_y, 0]
