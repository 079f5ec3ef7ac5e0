"""All chats: listed, paged, searched, opened, renamed, deleted, brought back, and as files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from amulet_local.chats.chat import Chat
from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.export import to_json, to_markdown
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.chats.listing import Summary
from amulet_local.chats.provenance import Origin
from amulet_local.errors import UsageError
from amulet_local.protocol.message import Message
from tests.fake_engine import HOLD, FakeEngine
from tests.tui.running import LARGE, SMALL, Running, chat
from tui.screens.chat import ChatScreen
from tui.screens.chats import FOUND, PAGE, ChatsScreen
from tui.screens.line_form import LineForm
from tui.session.session import BUSY
from tui.widgets.chat_list import ChatList
from tui.widgets.preview import Preview

ORIGIN = Origin(model="SmolLM2", file="/m.gguf", seed=7, system="You help.")
DAY_S = 24 * 3600.0


@contextmanager
def elsewhere() -> Iterator[History]:
    """The store, as another app has it open."""
    with History(history_file()) as history:
        yield history


def talk(*texts: str, made: float) -> list[Node]:
    nodes: list[Node] = []
    for place, text in enumerate(texts):
        parent = nodes[-1].id if nodes else None
        message = Message("assistant" if place % 2 else "user", text)
        origin = ORIGIN if place % 2 else None
        nodes.append(Node(new_id(made + place / 1000), parent, message, origin))
    return nodes


def keep(*texts: str, days: float = 0.0, title: str = "") -> str:
    """A chat of so many days ago; returns its id."""
    name, made = new_chat_id(), time.time() - days * DAY_S - 1.0
    with elsewhere() as history:
        conversation = Conversation(talk(*texts, made=made))
        history.add_chat(name, title or texts[0], conversation, made)
    return name


def keep_many(number: int) -> None:
    """So many chats of a question each, an hour apart."""
    with elsewhere() as history:
        for place in range(number):
            made = time.time() - place * 3600.0 - 1.0
            conversation = Conversation(talk(f"Question {place}", made=made))
            history.add_chat(new_chat_id(), f"Chat number {place}", conversation, made)


def two_branches() -> tuple[str, Node]:
    """A chat whose first answer is on a branch that is not read; its id, and that answer."""
    made = time.time() - 60.0
    question, first = talk("Where to?", "To the *coast* of Wales.", made=made)
    second = Node(new_id(made + 1), question.id, Message("assistant", "Stay at home."), ORIGIN)
    name = new_chat_id()
    with elsewhere() as history:
        conversation = Conversation([question, first, second], second.id)
        history.add_chat(name, "Where to?", conversation, made)
    return name, first


def chat_list(running: Running) -> ChatList:
    return running.app.screen.query_one(ChatList)


def titles(running: Running) -> list[str]:
    """Of what is listed."""
    return [row.title for row in chat_list(running).rows]


def rows(running: Running) -> list[str]:
    """The list as it is drawn."""
    listed = chat_list(running)
    return [listed.render_line(y).text.rstrip() for y in range(listed.size.height)]


def at_hand(running: Running) -> str:
    row = chat_list(running).row
    return row.title if row else ""


def text(running: Running) -> str:
    """What is on the screen, as one line."""
    return " ".join(running.shown().replace("│", " ").split())


async def answered(running: Running) -> None:
    """Have what is done on threads done, and shown."""
    await running.workers_done()
    await running.settle()


def is_open(running: Running) -> bool:
    return isinstance(running.app.screen, ChatsScreen)


async def fill_in(running: Running, line: str) -> None:
    """Write a line into the form that is open, and press enter."""
    assert isinstance(running.app.screen, LineForm)
    running.app.screen.query_one(Input).value = line
    await running.press("enter")
    await answered(running)


async def search(running: Running, words: str) -> None:
    """Type words into the search, and have them answered."""
    field = running.app.screen.query_one("#search", Input)
    field.focus()
    field.value = words
    await running.press("enter")
    await answered(running)


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
        assert "No chat is kept yet" in running.shown()
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
        assert "Delete it and all that follows" not in running.shown()
        await running.press(*"bring", "enter")
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
        await running.pilot.resize_terminal(*SMALL)
        await running.settle()
        assert not running.app.screen.query_one(Preview).display
        await running.press("j")
        await running.pilot.resize_terminal(*LARGE)
        await running.until("To Wales.")


async def test_of_a_long_chat_the_end_is_shown_and_how_much_comes_before() -> None:
    keep(*(f"message {number}" + " word" * 99 for number in range(40)))
    async with chat(FakeEngine(), size=(120, 30)) as running:
        await running.press("ctrl+l")
        await running.until("▌ message 38")
        assert "messages before" in running.shown()


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


# -- searching ------------------------------------------------------------------------------------


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
        assert "That message is not there any more." in running.shown()


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
        assert "No message has all of these words." in running.shown()
        await search(running, "coast")
        assert len(titles(running)) == FOUND
        assert "more words find fewer" in running.shown()


async def test_a_store_that_cannot_be_read_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    keep("Where to?", "To Wales.")

    def fail(*_: object) -> Any:
        raise UsageError("another program keeps the chats busy; try again when it is done.")

    async with chat(FakeEngine()) as running:
        for method in ("search", "summary"):
            monkeypatch.setattr(History, method, fail)
        await running.press("ctrl+l")
        await running.until("Another program keeps the chats busy")
        await search(running, "coast")
        assert "Another program keeps" in running.shown()
        await running.press("escape", "escape")
        monkeypatch.setattr(History, "chats", fail)
        await running.press("ctrl+l")
        assert "Another program keeps" in running.notified[-1]
        assert is_open(running)
        await running.press("escape", "escape", "ctrl+b")
        assert "Another program keeps" in running.notified[-1]


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
        await fill_in(running, "\x07")
        assert "A title needs something to read." in running.shown()
        await fill_in(running, "")
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
            assert "was removed meanwhile" in running.notified[-1]
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
        assert running.notified[-1] == "Deleted: Chat 1. u brings it back."
        assert at_hand(running) == "Chat 2"
        assert sum(bool(row) and not row.startswith(" ") for row in rows(running)) == 2
        await running.press("d", "d")
        assert titles(running) == []
        assert "No chat is kept yet" in running.shown()
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


# -- files ----------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the app is started."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def exported(name: str, write: Any) -> str:
    with elsewhere() as history:
        return str(write(Chat(history, name)))


async def test_a_chat_is_exported_to_a_file_named_by_its_title(here: Path) -> None:
    name = keep("Where to?", "To Wales.", title="Ferien: wohin?")
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+l", "e")
        assert running.app.screen.query_one(Input).value == "Ferien-wohin.md"
        await running.press("enter")
        await answered(running)
        file = here / "Ferien-wohin.md"
        assert file.read_text("utf-8") == exported(name, to_markdown)
        assert running.notified[-1] == f"Written: {file}"
        await running.press("e")
        await fill_in(running, str(here / "chat.json"))
        assert (here / "chat.json").read_text() == exported(name, to_json)
        assert is_open(running)


async def test_nothing_is_written_over_without_asking(here: Path) -> None:
    name = keep("Where to?", "To Wales.")
    (here / "a.md").write_text("mine")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l", "e")
        await fill_in(running, "a.md")
        assert "is there already" in text(running)
        assert (here / "a.md").read_text() == "mine"
        await fill_in(running, "b.md")
        assert (here / "b.md").exists()
        await running.press("e")
        await fill_in(running, "a.md")
        await running.press("escape", "e")
        await fill_in(running, "a.md")
        assert (here / "a.md").read_text() == "mine"
        await fill_in(running, "a.md")
        assert (here / "a.md").read_text("utf-8") == exported(name, to_markdown)


async def test_a_file_that_cannot_be_written_leaves_the_path_to_be_mended(here: Path) -> None:
    keep("Where to?", "To Wales.")
    (here / "folder").mkdir()
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l", "e")
        await fill_in(running, "no/such/folder.md")
        assert "cannot be written" in text(running)
        await fill_in(running, "~nobody-here/chat.md")
        assert "nobody's home folder" in running.shown()
        await fill_in(running, "folder")
        assert (here / "folder" / "Where-to.md").exists()


async def test_the_open_chat_is_exported_by_command(here: Path) -> None:
    engine = FakeEngine(["One."], ["Two", HOLD])
    async with chat(engine) as running:
        await running.say("/export")
        assert "nothing to export yet" in running.notified[-1]
        await running.say("Mine")
        await running.say("/export mine.json")
        await answered(running)
        assert json.loads((here / "mine.json").read_text())["title"] == "Mine"
        assert running.notified[-1] == f"Written: {here / 'mine.json'}"
        assert isinstance(running.app.screen, ChatScreen)
        await running.say("/export mine.json")
        await answered(running)
        assert "is there already" in text(running)
        await running.press("escape")
        await running.say("/export")
        assert running.app.screen.query_one(Input).value == "Mine.md"


async def test_a_chat_that_is_gone_cannot_be_exported(here: Path) -> None:
    name = keep("Where to?", "To Wales.")
    async with chat(FakeEngine()) as running:
        await running.press("ctrl+l", "e")
        with elsewhere() as history:
            history.remove(name)
        await fill_in(running, "a.md")
        assert "removed meanwhile" in running.shown()
        assert not (here / "a.md").exists()


async def test_a_chat_is_imported_with_nothing_lost_and_opened(here: Path) -> None:
    name, _ = two_branches()
    text = exported(name, to_json)
    (here / "chat.json").write_text(text)
    with elsewhere() as history:
        history.destroy(name)
    keep("Newer")
    async with chat(FakeEngine(), size=SMALL) as running:
        await running.press("ctrl+l", "i")
        running.app.screen.query_one(Input).value = "ch"
        await running.settle()
        await running.press("tab")
        assert running.app.screen.query_one(Input).value == "chat.json"
        await running.press("enter")
        await answered(running)
        assert running.session.chat.id == name
        assert running.said == ["Where to?", "Stay at home."]
        assert running.notified[-1] == "Imported: Where to?"
        assert exported(name, to_json) == text
        await running.say("/import chat.json")
        await answered(running)
        assert running.session.chat.id != name, "beside the one that is there"
        assert running.said == ["Where to?", "Stay at home."]


async def test_a_file_that_cannot_be_imported_leaves_the_path_to_be_mended(here: Path) -> None:
    (here / "bad.json").write_text('{"format": "amulet-chat"')
    (here / "other.json").write_text('{"format": "another"}')
    async with chat(FakeEngine()) as running:
        await running.say("/import nowhere.json")
        await answered(running)
        assert "cannot be read" in text(running)
        for name in ("bad.json", "other.json"):
            await fill_in(running, name)
            assert "is no chat to import" in text(running)
        await fill_in(running, ".")
        assert "cannot be read" in text(running)
        await running.press("escape")
        await running.say("/import")
        assert isinstance(running.app.screen, LineForm)
        await running.press("escape")
        assert running.prompt.has_focus
        assert running.said == []
