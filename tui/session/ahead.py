"""What is being typed goes to the engine at a pause, to be read before it is sent.

Only whole words go, and only of what will be a message: no command, nothing while the engine is at
anything else. Files that a message names are read once it is sent.
"""

from __future__ import annotations

from amulet_local.chats.wishes import join_wish, split_wish
from amulet_local.protocol.message import LONGEST_WISH, Message
from tui.session.session import Session

_WORD = " x"  # in place of the next one: what stays the same with it is certain


def read_ahead(session: Session, typed: str, editing: str | None = None) -> None:
    """Have the engine read this much of a message. editing: the message that it is to replace."""
    if not typed.strip() or typed.lstrip().startswith("/"):
        return
    words = whole_words(typed)
    (text, wish), (more, more_wish) = split_wish(words), split_wish(words + _WORD)
    if max(len(wish), len(more_wish)) > LONGEST_WISH:  # which is told once it is sent
        return
    before = session.path
    if editing:
        edited = session.chat.conversation[editing]
        said = edited.message
        if said.role == "assistant" or typed.strip() == join_wish(said.text, said.wish):
            return
        before = session.chat.conversation.path(editing)[:-1]
    messages = Message("user", text, wish=wish), Message("user", more, wish=more_wish)
    session.read_ahead(before, *messages)


def whole_words(typed: str) -> str:
    """What was typed up to the last word that something stands behind."""
    words = typed.lstrip()
    if words and not words[-1].isspace():
        words = words[: -len(words.split()[-1])]
    return words.rstrip()
