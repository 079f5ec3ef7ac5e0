"""All chats: listed, paged, searched, opened, renamed, deleted, brought back, and as files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from textual.widgets import Input

from amulet_local.conversation import Conversation, Message, Node
from amulet_local.history import History, history_file
from amulet_local.ids import new_chat_id, new_id
from amulet_local.provenance import Origin
from tests.fake_engine import FakeEngine
from tests.tui.running import LARGE, SMALL, Running, chat
from tui.widgets.chat_list import ChatList

SIZES = pytest.mark.parametrize("size", [SMALL, LARGE])
ORIGIN = Origin(model="SmolLM2", file="/m.gguf", seed=7, system="You help.")
DAY_S = 24 * 3600.0


@contextmanager
def elsewhere() -> Iterator[History]:
    """The store, as another app has it open."""
    with History(history_file()) as history:
        yield history


def talk(*texts: str, made: float) -> Conversation:
    nodes: list[Node] = []
    for place, text in enumerate(texts):
        parent = nodes[-1].id if nodes else None
        message = Message("assistant" if place % 2 else "user", text)
        origin = ORIGIN if place % 2 else None
        nodes.append(Node(new_id(made + place / 1000), parent, message, origin))
    return Conversation(nodes)


def keep(*texts: str, days: float = 0.0, title: str = "") -> str:
    """A chat of so many days ago; returns its id."""
    name, made = new_chat_id(), time.time() - days * DAY_S - 1.0
    with elsewhere() as history:
        history.add_chat(name, title or texts[0], talk(*texts, made=made), made)
    return name


def keep_many(number: int) -> None:
    """So many chats, an hour apart, of one question each."""
    with elsewhere() as history:
        for place in range(number):
            made = time.time() - place * 3600.0 - 1.0
            history.add_chat(
                new_chat_id(), f"Chat number {place}", talk(f"Question {place}", made=made), made
            )


def listed(running: Running) -> list[str]:
    """The titles in the list of chats."""
    return [row.title for row in chat_list(running).rows]


def chat_list(running: Running) -> ChatList:
    return running.app.screen.query_one(ChatList)


def at_hand(running: Running) -> str:
    row = chat_list(running).row
    return row.title if row else ""


def told(running: Running) -> str:
    """What was told last."""
    return running.notified[-1]


async def fill_in(running: Running, line: str) -> None:
    """Write a line into the form that is open, and press enter."""
    running.app.screen.query_one(Input).value = line
    await running.press("enter")
    await running.app.workers.wait_for_complete()
    await running.settle()


# -- the list -------------------------------------------------------------------------------------


@SIZES
async def test_chats_are_listed_by_day_the_last_changed_first(size: tuple[int, int]) -> None:
    keep("Why is the sky blue?", "It scatters.", days=9)
    keep("Where to?", "To Wales.", "And then?", days=1)
    keep("[bold]\x1b[2JWhat?[/]", "That.")
    async with chat(FakeEngine(), size=size) as running:
        await running.press("ctrl+l")
        rows = [row.strip("│ ") for row in running.shown().split("\n")]
        rows = [row for row in rows if row and "messages ·" not in row]
        today, yesterday = (
            rows.index("Today"),
            next(at for at, row in enumerate(rows) if row.startswith("Yesterday")),
        )
        assert rows[today + 1].startswith("[bold][2JWhat?[/]  ")
        assert rows[yesterday + 1].startswith("Where to?  ")
        assert listed(running) == ["[bold]\x1b[2JWhat?[/]", "Where to?", "Why is the sky blue?"]
