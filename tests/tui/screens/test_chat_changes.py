"""All chats: named, deleted, brought back."""

from __future__ import annotations

from textual.widgets import Input

from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import SMALL, chat
from tests.tui.screens.chats_screen import (
    answered,
    at_hand,
    elsewhere,
    fill_in,
    is_open,
    keep,
    rows,
    search,
    titles,
)
from tui.screens.chats import ChatsScreen
from tui.screens.line_form import LineForm

# -- titles ---------------------------------------------------------------------------------------


async def test_a_chat_is_renamed() -> None:
    name = keep("Where to?", "To Wales.")
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+l", "r")
        assert running.app.screen.query_one(Input).value == "Where to?"
        await fill_in(running, "  Holi[d]ays ")
        assert titles(running) == ["Holi[d]ays"]
        assert "Holi[d]ays" in running.shown()
        assert running.session.history.summary(name).title == "Holi[d]ays"
        await running.press("r", "escape")
        assert titles(running) == ["Holi[d]ays"]


async def test_the_title_of_the_open_chat_is_the_one_above_it() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("Mine")
        await running.press("ctrl+l", "r")
        await fill_in(running, "Ours")
        await running.press("escape")
        assert running.shown().split("\n")[0].strip() == "Ours"


async def test_a_title_needs_something_to_read() -> None:
    keep("Where to?")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l", "r")
        for nothing in ("\x07", "\u200b", ""):
            await fill_in(running, nothing)
            assert isinstance(running.app.screen, LineForm)


async def test_a_hit_is_renamed_with_its_chat() -> None:
    keep("Where to?", "The coast.")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l")
        await search(running, "coast")
        await running.press("tab", "r")
        await fill_in(running, "Holidays")
        await running.until("Holidays")  # it is searched once more
        assert titles(running) == ["Holidays"]


async def test_what_a_search_finds_while_a_title_is_typed_does_not_disturb_it() -> None:
    keep("Where to?", "The coast.")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l")
        chats = running.app.screen
        assert isinstance(chats, ChatsScreen)
        await running.press("r")
        chats.query_one("#search", Input).value = "coast"
        chats.action_choose()
        await running.workers_done()
        await running.settle()
        await fill_in(running, "Holidays")
        await running.until("Holidays")
        assert titles(running) == ["Holidays"]
        assert running.notified == []


async def test_what_another_app_has_removed_is_told_of_and_gone_from_the_list() -> None:
    gone, kept = keep("Gone"), keep("Kept", days=1)
    async with chat(FakeEngine()) as running:
        for keys in (("enter",), ("d",), ("r",)):
            with elsewhere() as history:
                history.bring_back(gone)
            await running.press("ctrl+l")
            assert titles(running) == ["Gone", "Kept"]
            with elsewhere() as history:
                history.remove(gone)
            await running.press(*keys)
            if keys == ("r",):
                await fill_in(running, "Another title")
            assert "has been removed by another Amulet" in running.notified[-1]
            if not is_open(running):
                await running.press("ctrl+l")
            assert titles(running) == ["Kept"]
            await running.press("escape")
        await running.press("ctrl+l", "enter")
        assert running.session.chat.id == kept


# -- deleting -------------------------------------------------------------------------------------


async def test_a_chat_is_deleted_and_brought_back() -> None:
    for number in range(3):
        keep(f"Chat {number}", days=number)
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+l", "j", "d")
        assert titles(running) == ["Chat 0", "Chat 2"]
        assert running.notified[-1] == "Deleted: Chat 1. Press u to restore it."
        assert at_hand(running) == "Chat 2"
        assert sum(bool(row) and not row.startswith(" ") for row in rows(running)) == 2
        await running.press("d", "d")
        assert titles(running) == []
        assert "No chats yet" in running.shown()
        await running.press("escape")
        await running.press("ctrl+l", "u")
        assert titles(running) == ["Chat 0"]
        await running.press("u", "u")
        assert titles(running) == ["Chat 0", "Chat 1", "Chat 2"]
        assert at_hand(running) == "Chat 1"
        await running.press("u")
        assert running.notified[-1] == "There is nothing to undo."


async def test_with_the_open_chat_deleted_a_new_one_goes_on() -> None:
    engine = FakeEngine(["One ", HOLD], ["Two."])
    async with chat(engine) as running:
        await running.say("Mine")
        mine = running.session.chat.id
        running.prompt.insert("draft")
        await running.press("ctrl+l", "d")
        assert engine.stops == 1
        await running.press("escape", "escape")
        assert running.said == []
        assert "One" not in running.shown()
        assert running.prompt.text == ""
        assert running.prompt.has_focus
        await running.say("Another")
        assert running.said == ["Another", "Two."]
        assert [chat.title for chat in running.session.history.chats()] == ["Another"]
        await running.press("ctrl+l", "u")
        assert titles(running) == ["Another", "Mine"]
        await running.press("enter")
        assert running.session.chat.id == mine
        assert running.said == ["Mine", "One "]
        assert running.prompt.text == "draft"


async def test_a_hit_is_deleted_with_its_chat() -> None:
    keep("Where to?", "The coast.", "The coast?")
    keep("A coast", days=1)
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l")
        await search(running, "coast")
        assert len(titles(running)) == 3
        await running.press("tab", "j", "d")
        await answered(running)
        assert titles(running) in (["A coast"], ["Where to?"] * 2)
        await running.press("u")
        await answered(running)
        assert len(titles(running)) == 3
