"""Somebody who chats: what a process of its own does with the store, for storage.py.

    python -m tests.torture.storage_user SEED TURNS at-once|in-turn

Each line tells what was said to be saved (`kept MARK`), that nothing will be (`unkept`), or what
the user is told (`told SENTENCE`); a mark stands in the text of one message.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from amulet_local.chats.chat import Chat
from amulet_local.chats.conversation import Conversation
from amulet_local.chats.export import export_chat
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_chat_id
from amulet_local.chats.provenance import Ending, Origin
from amulet_local.errors import AmuletError
from amulet_local.protocol.message import Message
from amulet_local.settings import data_folder
from tui import themes
from tui.session import better_model

_ORIGIN = Origin(model="m", file="/m.gguf", seed=7, system="s")
_PACE_S = 0.02


def main(seed: int, turns: int, *, in_turn: bool) -> None:
    random, held = Random(seed), list[str]()
    try:
        with History(history_file(), unkept=True, in_turn=in_turn) as store:
            if store.notice:
                _say("told", store.notice)
            if store.unsaved:
                _say("unkept")
            for turn in range(turns):
                mark = f"mark{seed}x{turn}x"
                try:
                    _talk(store, random, mark)
                except AmuletError as error:
                    _say("told", str(error))
                else:
                    held.append(mark)
                    if not store.in_turn and not store.unsaved:
                        _say("kept", mark)
                time.sleep(_PACE_S)
            lost = store.close() if store.in_turn else ""
            for sentence in [*store.news(), lost]:
                if sentence:
                    _say("told", sentence)
            if store.in_turn and not lost:
                for mark in held:
                    _say("kept", mark)
    except AmuletError as error:
        _say("told", str(error))


def _talk(store: History, random: Random, mark: str) -> None:
    """One turn, with a little of what else there is to do."""
    conversation, chat = Conversation(), new_chat_id()
    question = conversation.question(f"Where is {mark}?")
    conversation.add(question)
    store.save_draft("Where is", chat)
    store.add(chat, question)
    node = conversation.reply(question.id, _ORIGIN)
    store.add(chat, node, growing=True)
    for piece in range(random.randrange(4)):
        store.grow(node.id, f"piece {piece} ", (1, 2), b"")
    text = "It is here. " * random.choice([1, 10, 400])
    store.finish(replace(node, message=Message("assistant", text), ending=Ending("interrupted")))
    store.save_draft("", chat)
    match random.randrange(6):
        case 0:
            store.rename(chat, f"About {mark}")
        case 1:
            store.undelete(store.delete(question.id))
        case 2:
            store.remove(chat)
            store.bring_back(chat)
        case 3:
            export_chat(Chat(store, chat), data_folder() / "chat.json", "json", overwrite=True)
        case 4:
            themes.remember("amulet-light")
            better_model.remember(str(Path("/m.gguf")))


def _say(*words: str) -> None:
    print(*words, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), in_turn=sys.argv[3] == "in-turn")
