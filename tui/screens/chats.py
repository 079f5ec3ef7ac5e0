"""All chats: listed by day or searched, with a look into the one at hand.

The list is read from the store a page at a time, as it is scrolled; it is searched on a thread,
and answers that come late are dropped. What changes a chat is given from outside, since the open
one may be concerned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static

from amulet_local.chats.chat import Chat
from amulet_local.chats.listing import Summary, title_of
from amulet_local.chats.search import Hit
from amulet_local.errors import AmuletError
from tui.actions import CHATS, PICKER, SEARCH, Action, bindings, shown_key
from tui.markdown.sanitising import clean, sentence
from tui.screens.chat_forms import export_form, import_form, rename_form
from tui.screens.dialog import Dialog
from tui.session import stored_chats
from tui.session.session import Session
from tui.unexpected import as_sentences
from tui.widgets.chat_list import ChatList, Row
from tui.widgets.fields import Line
from tui.widgets.keys import KeyLine
from tui.widgets.preview import Preview

PAGE = 60  # chats
FOUND = 100  # hits
_PAGE_TO_END = 200
_TYPING_S = 0.12
_NONE = "No chats yet. A chat is saved once it has a message."
_NOTHING = "No message contains all of these words."
_CUT = f"the newest {FOUND}; add words to narrow the search"


@dataclass(frozen=True)
class Place:
    """A chat to open, and the message to open it at, if any; words: that were found in it."""

    chat: str
    message: str = ""
    words: str = ""


class ChatsScreen(Dialog[Place | None]):
    """Dismissed with the Place to open, or None.

    rename, remove: do that, of the chat of an id; they tell what fails, and are False then.
    words: to search for; empty to begin with the search, None with the list.
    """

    ACTIONS: ClassVar[Sequence[Action]] = CHATS
    AUTO_FOCUS = ""  # at once instead, so that what is typed right behind a key goes where it led
    BINDINGS: ClassVar[list[BindingType]] = bindings((*SEARCH, *PICKER))

    class Answered(Message):
        """What a search found, or why it found nothing."""

        def __init__(self, words: str, hits: Sequence[Hit], error: str = "") -> None:
            super().__init__()
            self.words, self.hits, self.error = words, hits, error

    def __init__(
        self,
        session: Session,
        rename: Callable[[str, str], bool],
        remove: Callable[[str], bool],
        words: str | None = None,
    ) -> None:
        super().__init__()
        self._session, self._store = session, session.history
        self._rename, self._remove = rename, remove
        self._first = words
        self._words = ""  # that were searched for; empty while chats are listed
        self._asked = ""  # what was asked last, answered or not
        self._more = False  # whether there are chats beyond those that are listed
        self._typing: Timer | None = None
        self._search = Line(placeholder="Search all messages", id="search", select_on_focus=False)
        self._list, self._preview = ChatList(), Preview(session.history)

    def compose(self) -> ComposeResult:
        """The search, the list, the look into it; keys below."""
        with Vertical(id="chats"):
            yield self._search
            with Horizontal():
                with Vertical():
                    yield Static(id="nothing")
                    yield self._list
                yield self._preview
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin at the chat that is open, or with a search, before whose answer nothing is listed:
        it would be looked into, and gone at once."""
        self.query_one("#chats").border_title = "Chats"
        self._list.opened = self._session.chat.id
        self.set_focus(self._list if self._first is None else self._search)
        if self._first:
            self._search.value = self._first
            self._ask()
        else:
            self._list_chats(self._session.chat.id)

    # -- listing ------------------------------------------------------------------------------

    def _list_chats(self, highlight: str = "", number: int = PAGE) -> None:
        """List the last changed chats anew, as many as before."""
        self._words = self._asked = ""
        self._list.clear()
        self._read(number)
        self._list.go_to(highlight)
        self._say(_NONE)

    def _read(self, number: int) -> None:
        """Add so many chats to the list."""
        rows = self._list.rows
        last = rows[-1] if rows else None
        try:
            chats = self._store.chats(number, last if isinstance(last, Summary) else None)
        except AmuletError as error:
            self._more = False
            self.notify(sentence(str(error)), severity="error")
            return
        self._more = len(chats) == number
        self._list.add_chats(chats)

    @on(ChatList.NearEnd)
    def _read_on(self) -> None:
        if self._more and not self._words and self._list.near_end:
            self._read(PAGE)

    def _say(self, nothing: str) -> None:
        """Say what there is, or that there is nothing."""
        rows = self._list.rows
        empty = self.query_one("#nothing", Static)
        empty.update(Content(nothing))
        empty.display = not rows
        if not rows:
            self._preview.clear()
        cut = self._words and len(rows) == FOUND
        self.query_one("#chats").border_subtitle = _CUT if cut else ""

    # -- searching ----------------------------------------------------------------------------

    @on(Input.Changed)
    def _type(self, message: Input.Changed) -> None:
        if self._typing:
            self._typing.stop()
        if message.value.strip():
            if message.value != self._asked:
                self._typing = self.set_timer(_TYPING_S, self._ask)
        elif self._words or self._asked:
            self._list_chats(self._session.chat.id)

    def _ask(self) -> None:
        """Search for what is typed now."""
        if self._typing:
            self._typing.stop()
        words = self._search.value
        if words.strip():
            self._asked = words
            self._find(words)

    @work(thread=True, exclusive=True, group="search")
    def _find(self, words: str) -> None:
        try:
            with as_sentences():
                found = self._store.search(words, FOUND)
            self.post_message(self.Answered(words, found))
        except AmuletError as error:
            self.post_message(self.Answered(words, [], str(error)))

    @on(Answered)
    def _show_found(self, message: Answered) -> None:
        if message.words != self._asked:
            return  # others were asked for since
        row = self._list.row
        self._words = message.words
        self._list.clear()
        self._list.add_hits(message.hits)
        self._list.go_to(row.message if isinstance(row, Hit) else "")
        self._say(sentence(message.error) if message.error else _NOTHING)

    # -- looking into -------------------------------------------------------------------------

    @on(OptionList.OptionHighlighted)
    def _look_soon(self) -> None:
        if row := self._list.row:
            self._preview.look_soon(row, self._words)

    def on_resize(self, event: events.Resize) -> None:
        """There may be room for it now."""
        self._look_soon()

    # -- moving and choosing ------------------------------------------------------------------

    def action_move(self, rows: int) -> None:
        """Up or down the list, from wherever the keys go."""
        self._list.move(rows)

    def action_end(self, end: int) -> None:
        """To the first row, or the last; all chats are read for that, some at a time."""
        if end > 0 and self._more and not self._words:
            self._read(_PAGE_TO_END)
            self.call_after_refresh(self.action_end, end)
        elif end > 0:
            self._list.action_last()
        else:
            self._list.action_first()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:
        """The list is gone to from the search only."""
        return action != "to_list" or self._search.has_focus

    def action_to_list(self) -> None:
        """From the words to what was found."""
        self.set_focus(self._list)

    def action_search(self) -> None:
        """To the words to search for."""
        self.set_focus(self._search)

    @on(Input.Submitted)
    def action_choose(self) -> None:
        """Open what is at hand; words that have no answer yet are searched for first."""
        if self._search.value.strip() and self._search.value != self._words:
            self._ask()
        elif row := self._list.row:
            self._open(row)

    @on(OptionList.OptionSelected)
    def _clicked(self) -> None:
        if row := self._list.row:
            self._open(row)

    def _open(self, row: Row) -> None:
        if isinstance(row, Summary):
            self.dismiss(Place(row.id))
        else:
            self.dismiss(Place(row.chat, row.message, self._words))

    def action_close(self) -> None:
        """End the search, or leave things as they are."""
        if self._search.value:
            self._search.value = ""
            self.set_focus(self._list)
        elif self._search.has_focus and self._list.rows:
            self.set_focus(self._list)
        else:
            self.dismiss(None)

    # -- changing -----------------------------------------------------------------------------

    def action_rename(self) -> None:
        """Ask for a title."""
        if (row := self._list.row) is None:
            return
        chat = _chat(row)

        def rename(title: str | None) -> None:
            found = bool(self._words)  # an answer may have come meanwhile
            if title and self._rename(chat, title) and isinstance(row, Summary) and not found:
                self._list.replace(replace(row, title=title_of(title)))
                self._look_soon()
            elif title:
                self._list_anew()

        self.app.push_screen(rename_form(row.title), rename)

    def action_delete(self) -> None:
        """Take the chat out of the list."""
        if (row := self._list.row) is None:
            return
        removed = self._remove(_chat(row))
        if removed:
            undo = shown_key(self.app, CHATS, "screen.bring_back")
            self.notify(f"Deleted: {clean(row.title)}. Press {undo} to restore it.")
        self._list.opened = self._session.chat.id
        if removed and isinstance(row, Summary):
            self._list.drop(row.id)
            self._say(_NONE)
        else:
            self._list_anew()

    def action_bring_back(self) -> None:
        """Undo the last deletion."""
        try:
            chat = stored_chats.bring_back(self._session)
        except AmuletError as error:
            self.notify(sentence(str(error)), severity="error")
            return
        if chat is None:
            self.notify("There is nothing to undo.")
        else:
            self._list_anew(chat)

    def _list_anew(self, highlight: str = "") -> None:
        """As things are in the store now."""
        if self._words:
            self._ask()
            return
        row = self._list.row
        top = self._list.scroll_y
        self._list_chats(highlight or (_chat(row) if row else ""), len(self._list.rows) + 1)
        self._list.scroll_to(y=top, animate=False)

    # -- files --------------------------------------------------------------------------------

    def action_export(self) -> None:
        """Ask for a file, and write the chat to it."""
        if row := self._list.row:
            self.app.push_screen(export_form(self._store, _chat(row), row.title), self._tell_file)

    def _tell_file(self, file: Path | None) -> None:
        if file:
            self.notify(f"Exported to {file}")

    def action_import_chat(self) -> None:
        """Ask for a file, and open the chat in it."""
        self.app.push_screen(import_form(self._store), self._open_imported)

    def _open_imported(self, chat: Chat | None) -> None:
        if chat:
            self.notify(f"Imported: {chat.title}")
            self.dismiss(Place(chat.id))


def _chat(row: Row) -> str:
    return row.id if isinstance(row, Summary) else row.chat
