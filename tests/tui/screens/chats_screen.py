"""The screen of all chats: chats to list, and what it shows of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from textual.widgets import Input

from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.chats.provenance import Origin
from amulet_local.protocol.message import Message
from tests.tui.running import Running
from tui.screens.chats import ChatsScreen
from tui.screens.line_form import LineForm
from tui.widgets.chat_list import ChatList

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
