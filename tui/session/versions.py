"""Versions of messages in the open chat: answer again, edit, continue, walk, delete, undo.

Each returns what changes on the screen by it. While a reply is written, the branch stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from amulet_local.chats.conversation import Node
from amulet_local.errors import AmuletError
from amulet_local.presets.preset import Presets
from tui.session.changes import BranchChanged, Change, Noticed
from tui.session.requests import steering_of
from tui.session.session import Session


def regenerate(session: Session, name: str) -> list[Change]:
    """Answer a question once more, or the one that a reply answers; the other replies stay."""
    if refusal := session.refusal():
        return refusal
    node = session.chat.conversation[name]
    question = node if node.message.role == "user" else session.question_of(node)
    return session.begin(question)


def edit(session: Session, name: str, text: str, wish: str = "") -> list[Change]:
    """Put a message in other words, beside itself; a question is then answered."""
    if refusal := session.refusal():
        return refusal
    try:
        node = session.chat.edit(name, text, wish)
    except AmuletError as error:
        return [Noticed(str(error), True)]
    return session.begin(node) if node.message.role == "user" else [BranchChanged()]


def go_on(session: Session, begun: Node) -> list[Change]:
    """Write on from what a reply is or might have been, beside the replies there are.

    begun: with the parent of the reply that it was made from; its id does not count.
    """
    if refusal := session.refusal():
        return refusal
    return session.begin(session.question_of(begun), begun)


def branch(session: Session, begun: Node, strength: float, presets: Presets) -> list[Change]:
    """Write on as `go_on` does, steered as the reply was that this began as, at a strength of
    its own; with an end of its own, it is there as it is."""
    if refusal := session.refusal():
        return refusal
    if begun.ending:
        return adopt(session, begun)
    if begun.origin:
        session.steering = steering_of(begun.origin, presets).at(strength)
    return go_on(session, begun)


def adopt(session: Session, reply: Node) -> list[Change]:
    """Have a complete reply stand beside those there are."""
    return _change(session, lambda: session.chat.adopt(reply))


def walk(session: Session, name: str, by: int) -> list[Change]:
    """Read another version of a message."""
    return _change(session, lambda: session.chat.walk(name, by))


def turn_to(session: Session, name: str) -> list[Change]:
    """Read a branch that holds this message."""
    if name not in session.chat.conversation:
        return [Noticed("That message is no longer there.")]
    if name in (node.id for node in session.path):
        return []
    return _change(session, lambda: session.chat.turn_to(name))


def delete(session: Session, name: str) -> list[Change]:
    """Take out a message and all that follows from it."""
    return _change(session, lambda: session.chat.delete(name))


def undo(session: Session) -> list[Change]:
    """Return to what was before the last edit, regeneration, walk or deletion."""
    undone: list[bool] = []
    changes = _change(session, lambda: undone.append(session.chat.undo()))
    return [Noticed("There is nothing to undo.")] if undone == [False] else changes


def _change(session: Session, act: Callable[[], object]) -> list[Change]:
    if refusal := session.refusal():
        return refusal
    try:
        act()
    except AmuletError as error:
        return [Noticed(str(error), True)]
    return [BranchChanged()]
