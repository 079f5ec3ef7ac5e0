"""Chats of the store while one of them is open: named, removed and brought back.

Each raises AmuletError where the store fails, or has no such chat.
"""

from __future__ import annotations

from tui.session.changes import Change
from tui.session.session import Session


def is_open(session: Session, name: str) -> bool:
    """Whether this chat is the open one, and in the store as it is here. Raises AmuletError
    where it was removed."""
    here = session.chat
    if name == here.id and session.history.held_up:
        return True
    stored = session.history.summary(name)
    if stored.id != here.id:
        return False
    as_here = (stored.title, stored.messages) == (here.title, len(here.conversation))
    return as_here or session.replying is not None


def rename(session: Session, name: str, title: str) -> None:
    """Give a chat of the store a title. Raises AmuletError."""
    if name == session.chat.id:
        session.chat.rename(title)
    else:
        session.history.rename(name, title)


def remove(session: Session, name: str) -> list[Change]:
    """Take a chat out of the lists; the open one is left for a new one. Raises AmuletError."""
    session.history.remove(name)
    session.removed.append(name)
    return session.new_chat() if name == session.chat.id else []


def bring_back(session: Session) -> str | None:
    """Undo the last removal of a chat; its id, None if there was none. Raises AmuletError."""
    if not session.removed:
        return None
    session.history.bring_back(session.removed[-1])
    return session.removed.pop()
