"""What tests of an open chat say in it, and what then stands there."""

from __future__ import annotations

from amulet_local.chats.chat import Chat
from amulet_local.chats.history import History
from amulet_local.chats.provenance import Origin
from amulet_local.protocol.messages import Finished, FinishReason, Stats, Step

ORIGIN = Origin(model="SmolLM2", file="/models/smollm2.gguf", seed=7, system="You help.")
STATS = Stats(30, 0, 60, 3, 0.1, 0.12, 0.5, 25.0, 33, 2)


def steps(*texts: str) -> list[Step]:
    return [
        Step(1, 100 + place, text, 3.0, 0.5, True, 2.0, -1.0, -2.0, -0.5)
        for place, text in enumerate(texts)
    ]


def finished(*texts: str, reason: FinishReason = "stop") -> Finished:
    token_ids = tuple(range(100, 100 + len(texts)))
    return Finished(1, "".join(texts), token_ids, reason, STATS)


def answer(chat: Chat, question: str, *texts: str) -> str:
    """A whole reply to a question; returns its id."""
    reply = chat.reply(question, ORIGIN)
    for step in steps(*texts):
        reply.add(step)
    return reply.finish(finished(*texts)).id


def said(chat: Chat) -> list[str]:
    return [message.text for message in chat.conversation.messages()]


def stored(store: History, chat: Chat) -> list[str]:
    """The branch that is read, as the next to open the chat finds it."""
    return said(Chat(store, chat.id))
