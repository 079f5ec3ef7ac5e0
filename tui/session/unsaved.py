"""Chats that are open or were left, while something is in the way of saving them."""

from __future__ import annotations

import shlex
from contextlib import suppress

from amulet_local.chats.chat import Chat
from amulet_local.chats.export import export_chat
from amulet_local.chats.history import History, unsaved_file
from amulet_local.errors import AmuletError
from tui.session.changes import Change, Noticed


class UnsavedChats:
    """What a store does not have yet is had from the chats themselves."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._left: dict[str, Chat] = {}

    def leave(self, chat: Chat) -> None:
        """Another chat is opened."""
        if not self._history.held_up:
            self._left.clear()
        elif chat.history is self._history:
            self._left[chat.id] = chat

    def open(self, name: str) -> Chat:
        """The chat of an id, or how it begins. Raises as Chat does."""
        left = self._left.get(name) if self._history.held_up else None
        return left or Chat(self._history, name)

    def news(self) -> list[Change]:
        """How saving goes, where there is something to tell of it."""
        return [Noticed(text, serious=True) for text in self._history.news()]

    def rescue(self, opened: Chat) -> str:
        """Write chats to files of their own, once the store is closed and has not taken all of
        them; a sentence of where they are, or nothing. opened: the chat that is open."""
        files = []
        for chat in {**self._left, opened.id: opened}.values():
            if chat.history is self._history and len(chat.conversation):
                file = unsaved_file(chat.id)
                with suppress(AmuletError):  # the disk may be what is in the way
                    export_chat(chat, file, "json", overwrite=True)
                    files.append(shlex.quote(str(file)))
        commands = " and ".join(f"amulet chats import {file}" for file in files)
        return commands and f"What you saw is kept; to add it to your chats: {commands}"
