"""A store of chats, and a chat in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from amulet_local.chats.chat import Chat
from amulet_local.chats.history import History, history_file
from tests.chats.talking import answer


@pytest.fixture
def store() -> Iterator[History]:
    with History(history_file()) as opened:
        yield opened


@pytest.fixture
def chat(store: History) -> Chat:
    """A question with its answer, and another."""
    chat = Chat(store)
    answer(chat, chat.ask("Where to?").id, "To ", "Wales.")
    answer(chat, chat.ask("And then?").id, "Home.")
    return chat
