"""What tests of the store keep in it, and how they look into it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from amulet_local.chats import migrations
from amulet_local.chats.conversation import Node
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.chats.provenance import Origin
from amulet_local.protocol.message import Message

ORIGIN = Origin(model="SmolLM2", file="/models/smollm2.gguf", seed=7, system="You help.")
DAY_S = 24 * 3600.0


def keep(store: History, *texts: str, chat: str = "", made: float | None = None) -> str:
    """A chat of alternating messages; returns its id."""
    chat, moment = chat or new_chat_id(), time.time() if made is None else made
    nodes: list[Node] = []
    for place, text in enumerate(texts):
        message = Message("assistant" if place % 2 else "user", text)
        above = nodes[-1].id if nodes else None
        nodes.append(Node(new_id(moment + place / 1000), above, message))
    for node in nodes:
        store.add(chat, node)
    return chat


def a_reply(store: History, chat: str) -> Node:
    """A reply that is being written, under the chat's last message."""
    conversation = store.load(chat)
    assert conversation.leaf
    node = conversation.reply(conversation.leaf, ORIGIN)
    store.add(chat, node, growing=True)
    return node


def titles(store: History) -> list[str]:
    return [chat.title for chat in store.chats()]


def found(store: History, text: str) -> list[str]:
    return [hit.snippet.text for hit in store.search(text)]


def python(code: str) -> subprocess.Popen[str]:
    """Another process on the same store."""
    begin = "import sys\nfrom amulet_local.chats.chat import *\n"
    begin += "from amulet_local.chats.history import *\n"
    begin += "store = History(history_file())\n"
    return subprocess.Popen(
        [sys.executable, "-c", begin + textwrap.dedent(code)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def a_closed_store() -> Path:
    with History(history_file()) as store:
        for number in range(20):
            keep(store, f"Question {number}", "text " * 100)
    return history_file()


def line(process: subprocess.Popen[str]) -> str:
    """What another process says next."""
    assert process.stdout
    return process.stdout.readline().strip()


def rows(statement: str, *values: str) -> list[tuple[object, ...]]:
    """What a statement finds in the file, as another program would see it."""
    db = sqlite3.connect(history_file())
    db.create_function("spaced", 1, migrations.spaced, deterministic=True)
    try:
        with db:
            return db.execute(statement, values).fetchall()
    finally:
        db.close()
