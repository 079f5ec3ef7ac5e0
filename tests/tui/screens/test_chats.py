"""All chats: listed, looked into, opened."""

from __future__ import annotations

import pytest

from amulet_local.chats.chat import Chat
from amulet_local.chats.history import History
from amulet_local.chats.listing import Summary
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import LARGE, SMALL, chat
from tests.tui.screens.chats_screen import (
    at_hand,
    chat_list,
    elsewhere,
    is_open,
    keep,
    keep_many,
    rows,
    titles,
)
from tui.screens.chat import ChatScreen
from tui.screens.chats import PAGE
from tui.widgets.chat_list import ChatList
from tui.widgets.preview import Preview

# -- the list -------------------------------------------------------------------------------------


async def test_chats_are_listed_by_day_the_last_changed_first() -> None:
    keep("Why is the sky blue?", "It scatters.", days=9)
    keep("Where to?", "To Wales.", "And then?", days=1)
    keep("[bold]\x1b[2JWhat?[/]", "That.")
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+l")
        shown = [row.split() for row in rows(running) if row]
        days = [at for at, row in enumerate(rows(running)) if row and not row.startswith(" ")]
        assert days == [0, 2, 4]
        assert shown[1][:2] == ["[bold][2JWhat?[/]", "2"]
        assert shown[3][:3] == ["Where", "to?", "3"]
        assert shown[5][:6] == ["Why", "is", "the", "sky", "blue?", "2"]
        assert ":" in shown[1][-1]
        assert is_open(running)
        await running.press("escape")
        assert isinstance(running.app.screen, ChatScreen)
        assert running.prompt.has_focus


async def test_a_click_and_the_command_open_it_too() -> None:
    keep("Where to?", "To Wales.")
    async with chat(FakeEngine()) as running:
        line = running.shown().split("\n")[-1]
        await running.pilot.click(offset=(line.index("Chats"), LARGE[1] - 1))
        await running.settle()
        assert is_open(running)
        await running.press("escape")
        await running.say("/chats")
        assert is_open(running)
        await running.pilot.click(ChatList, offset=(4, 1))
        await running.settle()
        assert running.said == ["Where to?", "To Wales."]


async def test_without_a_chat_it_says_when_there_will_be_one() -> None:
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+l")
        assert "No chats yet" in running.shown()
        for key in ("enter", *"rdejkgG"):
            await running.press(key)
        assert is_open(running)
        await running.press("escape")
        assert isinstance(running.app.screen, ChatScreen)


async def test_the_open_chat_has_a_mark_and_is_the_one_at_hand() -> None:
    keep("Older", days=1)
    async with chat(FakeEngine(["One."])) as running:
        await running.say("Mine")
        keep("Newer")
        await running.press("ctrl+l")
        assert at_hand(running) == "Mine"
        marked = [row.split()[1] for row in rows(running) if row.startswith("●")]
        assert marked == ["Mine"]


async def test_arrows_and_letters_move_over_headings_and_not_past_the_ends() -> None:
    for days in range(4):
        keep(f"Chat {days}", days=days * 2)
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l")
        for keys, title in (
            (("up", "k"), "Chat 0"),
            (("j",), "Chat 1"),
            (("down",), "Chat 2"),
            (("j", "j", "down"), "Chat 3"),
            (("k",), "Chat 2"),
            (("g",), "Chat 0"),
            (("G",), "Chat 3"),
            (("pageup",), "Chat 0"),
        ):
            await running.press(*keys)
            assert at_hand(running) == title, keys
        assert rows(running)[0] == "Today"


async def test_of_two_thousand_chats_a_page_is_read_and_more_as_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep_many(2000)
    read: list[int] = []
    chats = History.chats

    def counted(self: History, limit: int = 50, after: Summary | None = None) -> list[Summary]:
        page = chats(self, limit, after)
        read.append(len(page))
        return page

    async with chat(FakeEngine()) as running:
        monkeypatch.setattr(History, "chats", counted)
        await running.press("ctrl+l")
        assert read == [PAGE]
        for _ in range(PAGE - 5):
            chat_list(running).move(1)
        await running.settle()
        assert read == [PAGE, PAGE]
        assert titles(running) == [f"Chat number {number}" for number in range(2 * PAGE)]
        chat_list(running).scroll_end(animate=False)
        await running.settle()
        assert len(titles(running)) == 3 * PAGE, "scrolling reads on as well"
        await running.press("G")
        assert at_hand(running) == "Chat number 1999"
        assert titles(running) == [f"Chat number {number}" for number in range(2000)]


async def test_the_palette_knows_what_can_be_done_here() -> None:
    keep("Where to?", "To Wales.")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l", "ctrl+o")
        await running.until("Give it a title")
        assert "Delete it and everything after it" not in running.shown()
        await running.press(*"restore", "enter")
        await running.until("There is nothing to undo.")


# -- looking into ---------------------------------------------------------------------------------


async def test_what_the_chat_at_hand_says_stands_beside_where_there_is_room() -> None:
    keep("Where to?", "To **Wales**.", "And [then]?", "Home\x1b[2J.", title="Holidays")
    keep("Newer", "Yes.")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l", "j")
        await running.until("To Wales.")
        shown = running.shown()
        for text in ("Holidays", "4 messages · Today", "▌ And [then]?", "Home[2J."):
            assert text in shown
        await running.press("k")
        await running.until("▌ Newer")
        await running.resize(*SMALL)
        assert not running.app.screen.query_one(Preview).display
        await running.press("j")
        await running.resize(*LARGE)
        await running.until("To Wales.")


async def test_of_a_long_chat_the_end_is_shown_and_how_much_comes_before() -> None:
    keep(*(f"message {number}" + " word" * 99 for number in range(40)))
    async with chat(FakeEngine(), size=(120, 30)) as running:
        await running.press("ctrl+l")
        await running.until("▌ message 38")
        assert "messages earlier" in running.shown()


# -- opening --------------------------------------------------------------------------------------


async def test_enter_opens_a_chat_and_the_draft_of_the_other_is_kept() -> None:
    keep("Where to?", "To Wales.")
    async with chat(FakeEngine(["One."]), size=SMALL) as running:
        await running.say("Mine")
        mine = running.session.chat.id
        running.prompt.insert("half a tho")
        await running.press("ctrl+l", "j", "enter")
        assert running.said == ["Where to?", "To Wales."]
        assert "To Wales." in running.shown()
        assert running.prompt.text == ""
        assert running.prompt.has_focus
        await running.press("ctrl+b")
        assert running.session.chat.id == mine
        assert running.prompt.text == "half a tho"


async def test_a_reply_under_way_in_the_chat_that_is_left_is_kept_as_it_is() -> None:
    other = keep("Where to?", "To Wales.")
    engine = FakeEngine(["old ", HOLD])
    async with chat(engine) as running:
        await running.say("Mine")
        left = running.session.chat.id
        await running.press("ctrl+l", "j", "enter")
        assert running.session.chat.id == other
        assert engine.stops == 1
        await running.settle()
        assert [m.text for m in running.session.history.load(left).messages()] == ["Mine", "old "]


async def test_the_open_chat_stays_as_it_is_with_its_reply_under_way() -> None:
    engine = FakeEngine(["One ", HOLD, "two."])
    async with chat(engine) as running:
        await running.say("Mine")
        await running.press("ctrl+l", "enter")
        assert engine.stops == 0
        engine.go_on()
        await running.settle()
        assert "One two." in running.shown()


async def test_the_open_chat_is_read_anew_if_another_app_has_changed_it() -> None:
    async with chat(FakeEngine(["One."])) as running:
        await running.say("Mine")
        with elsewhere() as history:
            Chat(history, running.session.chat.id).ask("Theirs")
            history.rename(running.session.chat.id, "Ours")
        await running.press("ctrl+l", "enter")
        assert running.said == ["Mine", "One.", "Theirs"]
        assert running.shown().split("\n")[0].strip() == "Ours"


async def test_right_after_the_start_the_last_chat_is_one_key_away() -> None:
    keep("Older", days=3)
    keep("Where to?", "To Wales.")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+b")
        assert running.said == ["Where to?", "To Wales."]
        assert "To Wales." in running.shown()
        assert running.prompt.has_focus


async def test_back_leaves_out_a_chat_that_is_gone() -> None:
    keep("Older", days=3)
    gone = keep("Where to?", "To Wales.")
    async with chat(FakeEngine(["One."])) as running:
        await running.press("ctrl+b")
        await running.press("ctrl+n")
        with elsewhere() as history:
            history.remove(gone)
        await running.press("ctrl+b")
        assert running.said == ["Older"]


async def test_a_fork_is_left_for_the_chat_that_it_comes_from() -> None:
    keep("Older", days=3)
    async with chat(FakeEngine(["One."])) as running:
        await running.press("ctrl+b", "ctrl+n")
        await running.say("Mine")
        mine = running.session.chat.id
        await running.press("ctrl+up", "f")
        assert running.session.chat.id != mine
        await running.press("ctrl+b")
        assert running.session.chat.id == mine
