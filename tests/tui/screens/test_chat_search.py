"""All chats: searched, and a hit opened where it stands."""

from __future__ import annotations

from typing import Any

import pytest
from textual.widgets import Input

from amulet_local.chats.history import History
from amulet_local.errors import UsageError
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import SMALL, chat
from tests.tui.screens.chats_screen import (
    answered,
    at_hand,
    chat_list,
    elsewhere,
    is_open,
    keep,
    rows,
    search,
    titles,
    two_branches,
)
from tui.screens.chats import FOUND, ChatsScreen
from tui.session.session import BUSY


async def test_what_is_typed_is_searched_and_the_words_found_are_marked() -> None:
    keep("Where to?", "Far " * 30 + "to the [Coast] of Wales.", title="Holidays")
    keep("Newer", "Yes.")
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+l", "slash", *"coa")
        await running.until("[Coast]")
        (row,) = (row for row in rows(running) if "[Coast]" in row)
        assert row.split()[0] == "reply"
        listed = chat_list(running)
        line = listed.render_line(rows(running).index(row))
        (found,) = (segment for segment in line if "Coast" in segment.text)
        assert found.text == "Coast"
        assert found.style
        assert found.style.bold
        assert found.style.underline
        await running.press("escape")
        assert titles(running) == ["Newer", "Holidays"]
        assert listed.has_focus


async def test_hits_of_a_chat_stand_under_its_title_with_the_whole_message_beside() -> None:
    keep("Which coast?", "That " * 99 + "coast,\n\n* of Wales", "coast", title="Holidays")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l")
        await search(running, "coast")
        assert rows(running)[0] == "Holidays"
        assert [row.split()[0] for row in rows(running)[1:4]] == ["you", "reply", "you"]
        await running.press("down")
        await running.until("▌ Which coast?")
        assert "* of Wales" in running.shown()


async def test_a_hit_opens_the_chat_at_its_message_on_the_branch_that_holds_it() -> None:
    name, first = two_branches()
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l")
        await search(running, "coast")
        await running.press("enter")
        assert running.session.chat.id == name
        assert running.said == ["Where to?", "To the *coast* of Wales."]
        assert running.transcript.has_focus
        selected = running.transcript.selected
        assert selected
        assert selected.id == first.id
        await running.press("u")
        assert running.said == ["Where to?", "Stay at home."]


async def test_a_message_deep_in_a_long_chat_is_scrolled_to() -> None:
    texts = [f"message {number}\n\n" + "word " * 60 for number in range(60)]
    texts[22] = "the needle"
    keep(*texts)
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.say("/search needle")
        await answered(running)
        await running.press("enter")
        await running.until("▌ the needle")
        await running.settle()
        assert "▌ the needle" in running.shown()
        selected = running.transcript.selected
        assert selected
        assert selected.message.text == "the needle"


async def test_in_the_chat_with_a_reply_under_way_a_hit_is_gone_to_if_it_is_read() -> None:
    engine = FakeEngine(["The coast."], ["The hills."], ["The sea ", HOLD])
    async with chat(engine) as running:
        await running.say("Where to?")
        await running.press("ctrl+r")
        await running.say("And then?")
        await running.press("ctrl+l")
        await search(running, "hills")
        await running.press("enter")
        selected = running.transcript.selected
        assert selected
        assert selected.message.text == "The hills."
        await running.press("ctrl+l")
        await search(running, "coast")
        await running.press("enter")
        assert BUSY in running.shown()
        assert engine.stops == 0


async def test_a_hit_that_another_app_has_deleted_is_told_of() -> None:
    name, first = two_branches()
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l")
        await search(running, "coast")
        with elsewhere() as history:
            history.delete(first.id)
        await running.press("enter")
        assert running.session.chat.id == name
        assert "That message is no longer there." in running.shown()


async def test_the_search_command_opens_with_the_words_and_their_hits() -> None:
    keep("Where to?", "The coast.")
    async with chat(FakeEngine()) as running:
        await running.say("/search coast")
        await answered(running)
        assert running.app.screen.query_one("#search", Input).value == "coast"
        assert at_hand(running) == "Where to?"
        await running.press("escape", "escape")
        await running.say("/search")
        assert running.app.screen.query_one("#search", Input).has_focus


async def test_an_answer_that_comes_late_is_dropped() -> None:
    keep("first coast")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l")
        await search(running, "coast")
        screen = running.app.screen
        assert isinstance(screen, ChatsScreen)
        screen.post_message(ChatsScreen.Answered("hills", []))
        await running.settle()
        assert titles(running) == ["first coast"]
        screen.query_one("#search", Input).value = ""
        screen.post_message(ChatsScreen.Answered("coast", []))
        await running.settle()
        assert titles(running) == ["first coast"]


async def test_nothing_found_is_said_and_so_is_a_search_that_is_cut() -> None:
    for number in range(3):
        keep(*(f"coast {place}" for place in range(FOUND // 3 + 1)), title=f"Chat {number}")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l")
        await search(running, "hills")
        assert "No message contains all of these words." in running.shown()
        await search(running, "coast")
        assert len(titles(running)) == FOUND
        assert "add words to narrow the search" in running.shown()


async def test_a_store_that_cannot_be_read_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    keep("Where to?", "To Wales.")

    def fail(*_: object) -> Any:
        raise UsageError("another program is using the chats; try again when it has finished.")

    async with chat(FakeEngine()) as running:
        for method in ("search", "summary"):
            monkeypatch.setattr(History, method, fail)
        await running.press("ctrl+l")
        await running.until("Another program is using the chats")
        await search(running, "coast")
        assert "Another program is using" in running.shown()
        await running.press("escape", "escape")
        monkeypatch.setattr(History, "chats", fail)
        await running.press("ctrl+l")
        assert "Another program is using" in running.notified[-1]
        assert is_open(running)
        await running.press("escape", "escape", "ctrl+b")
        assert "Another program is using" in running.notified[-1]
