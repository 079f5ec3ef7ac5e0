"""What can be done with chats: begin, open, go back, list, search, name, remove, export, import.

A part of the chat's screen.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from amulet_local.chats.chat import Chat
from amulet_local.errors import AmuletError
from amulet_local.presets.preset import Presets, load_presets
from tui.markdown.sanitising import sentence
from tui.markdown.search_marks import Found
from tui.screens.chat_forms import export_form, import_form
from tui.screens.chats import ChatsScreen, Place
from tui.screens.on_messages import OnMessages
from tui.session import stored_chats, versions
from tui.session.changes import Change
from tui.widgets.title import TitleLine


class OnChats(OnMessages):
    """Needs `recall`, for what is written in the chat that is opened, and `save_draft`."""

    presets: Presets
    _title: TitleLine

    def __init__(self) -> None:
        super().__init__()
        self._sent_from: str | None = None  # the chat before this one

    def recall(self) -> None:
        """Bring back what was typed in this chat."""
        raise NotImplementedError

    def save_draft(self) -> None:
        """Keep what is being written."""
        raise NotImplementedError

    # -- from chat to chat --------------------------------------------------------------------

    def leave(self, go: Callable[[], list[Change]]) -> bool:
        """Leave this chat for where `go` leads; False if that fails, which is told."""
        self.leave_editing()
        self.save_draft()
        left = self.session.chat.id if len(self.session.chat.conversation) else None
        try:
            changes = go()
        except AmuletError as error:
            self.notify(sentence(str(error)), severity="error")
            return False
        self._sent_from = left or self._sent_from
        self.transcript.clear()
        self.prompt.clear()
        self.recall()
        self.show(changes)
        self.set_focus(self.prompt)
        self.transcript.follow()
        return True

    def open_chat(self, name: str, message: str = "", words: str = "") -> None:
        """Open a chat of the store, at a message if one is named, and there at the words; the one
        that is open already stays as it is."""
        try:
            is_open = stored_chats.is_open(self.session, name)
        except AmuletError as error:
            self.notify(sentence(str(error)), severity="error")
            return
        self.presets = load_presets()
        if not is_open and not self.leave(lambda: self.session.open_chat(name, self.presets)):
            return
        if message:
            self.show(versions.turn_to(self.session, message))
            self.transcript.go_to(message, self._found(message, words))

    def _found(self, message: str, words: str) -> Found | None:
        """Where the words stand in a message."""
        if not words:
            return None
        with suppress(AmuletError):  # deleted since
            return Found.of(self.session.history.marked(message, words))
        return None

    def action_new_chat(self) -> None:
        """Leave this chat and begin another."""
        self.leave(self.session.new_chat)

    def action_last_chat(self) -> None:
        """To the chat that was open before, or the newest there is."""
        here, history = self.session.chat.id, self.session.history
        try:
            newest = [chat.id for chat in history.chats(2)]
        except AmuletError as error:
            self.notify(sentence(str(error)), severity="error")
            return
        for name in filter(None, (self._sent_from, *newest)):
            if name != here and self._is_there(name):
                self.open_chat(name)
                return
        self.notify("There is no other chat yet.")

    def _is_there(self, name: str) -> bool:
        try:
            self.session.history.summary(name)
        except AmuletError:
            return False
        return True

    # -- the list of chats --------------------------------------------------------------------

    def action_chats(self) -> None:
        """List all chats."""
        self._list()

    def action_find(self) -> None:
        """Search all chats."""
        self._list("")

    def command_find(self, words: str) -> None:
        """Search all chats for this."""
        self._list(words)

    def _list(self, words: str | None = None) -> None:
        screen = ChatsScreen(self.session, self.rename_chat, self.remove_chat, words)
        self.app.push_screen(screen, self._go)

    def _go(self, place: Place | None) -> None:
        if place:
            self.open_chat(place.chat, place.message, place.words)

    def remove_chat(self, name: str) -> bool:
        """Take any chat out of the list, and leave it if it is the open one; False if that fails,
        which is told."""
        if name == self.session.chat.id:
            return self.leave(lambda: stored_chats.remove(self.session, name))
        try:
            stored_chats.remove(self.session, name)
        except AmuletError as error:
            self.notify(sentence(str(error)), severity="error")
            return False
        return True

    def rename_chat(self, name: str, title: str) -> bool:
        """Give any chat a title; False if that fails, which is told."""
        try:
            stored_chats.rename(self.session, name, title)
        except AmuletError as error:
            self.notify(sentence(str(error)), severity="error")
            return False
        self._title.show(self.session.chat.title)
        return True

    # -- this chat ----------------------------------------------------------------------------

    def action_rename(self) -> None:
        """Begin to write a title."""
        self.prompt.write(f"/rename {self.session.chat.title}")
        self.set_focus(self.prompt)

    def command_rename(self, title: str) -> None:
        """Give the chat a title."""
        if len(self.session.chat.conversation):
            self.rename_chat(self.session.chat.id, title)
        else:
            self.notify("A chat has a title once something is said in it.")

    def action_export(self) -> None:
        """Ask for a file, and write this chat to it."""
        self._export()

    def command_export(self, path: str) -> None:
        """Write this chat to a file."""
        self._export(path)

    def _export(self, path: str = "") -> None:
        chat = self.session.chat
        if len(chat.conversation):
            form = export_form(self.session.history, chat.id, chat.title, path)
            self.app.push_screen(form, self._tell_file)
        else:
            self.notify("There is nothing to export yet.")

    def _tell_file(self, file: Path | None) -> None:
        if file:
            self.notify(f"Written: {file}")

    def action_import_chat(self) -> None:
        """Ask for a file, and open the chat in it."""
        self._import()

    def command_import_chat(self, path: str) -> None:
        """Open a chat from a file."""
        self._import(path)

    def _import(self, path: str = "") -> None:
        self.app.push_screen(import_form(self.session.history, path), self._open_imported)

    def _open_imported(self, chat: Chat | None) -> None:
        if chat:
            self.open_chat(chat.id)
            self.notify(f"Imported: {chat.title}")
