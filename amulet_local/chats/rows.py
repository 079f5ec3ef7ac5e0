"""Messages of a chat as rows of the database, and back.

Every function takes a connection in whose transaction it works.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec

from amulet_local.chats.conversation import NO_THOUGHT, Conversation, Node, Thought
from amulet_local.chats.database_errors import as_stored, removed_meanwhile
from amulet_local.chats.ids import Id
from amulet_local.chats.listing import title_of
from amulet_local.chats.provenance import Ending, StoredOrigin
from amulet_local.chats.wishes import join_wish
from amulet_local.errors import NotUsableError
from amulet_local.protocol.message import Message, Role
from amulet_local.system.text_files import DECODER_ERRORS

Stored = TypeVar("Stored", StoredOrigin, Ending)
Piece = tuple[str, Sequence[int], bytes, str]  # text, token ids, measures, thought


class Row(msgspec.Struct, array_like=True, frozen=True):
    """A message as it is stored."""

    id: Id
    parent: str | None
    role: Role
    text: str
    origin: bytes | None
    ending: bytes | None
    token_ids: bytes
    measures: bytes
    thought: str
    thought_ids: bytes
    wish: str
    writer: str | None

    def node(self) -> Node:
        """The message, of whose reply it is not known how it came about where that is damaged."""
        origin = _decoded(self.origin, StoredOrigin)
        ending = _decoded(self.ending, Ending) or Ending("interrupted")
        has_thought = self.thought or self.thought_ids
        return Node(
            self.id,
            self.parent,
            Message(self.role, self.text, _unpacked(self.token_ids), self.wish),
            origin.origin() if origin else None,
            ending if self.ending else None,
            self.measures,
            Thought(self.thought, _unpacked(self.thought_ids)) if has_thought else NO_THOUGHT,
        )


COLUMNS = ", ".join(Row.__struct_fields__)
FOLLOWING = """
    WITH RECURSIVE following (id) AS (
        SELECT id FROM messages WHERE {}
        UNION SELECT m.id FROM messages m JOIN following f ON m.parent = f.id
    )
"""
ANCESTORS = """
    WITH RECURSIVE ancestors (id) AS (
        SELECT ? UNION SELECT m.parent FROM messages m JOIN ancestors a ON m.id = a.id
    )
"""


def conversation(db: sqlite3.Connection, chat: str) -> Conversation:
    """All that was said in a chat; see History.load."""
    leaf = db.execute("SELECT leaf FROM chats WHERE id = ?", (chat,)).fetchone()
    (leaf,) = as_stored(leaf or (None,), tuple[str | None])
    found = stored(db, "chat = ? AND deleted IS NULL", chat)
    try:
        nodes = [grown(db, row.node()) if row.writer else row.node() for row in found]
        return Conversation(nodes, leaf)
    except ValueError as error:  # they do not hang together
        raise NotUsableError(
            f"chat {chat} is damaged and cannot be opened ({error}); if you do not "
            f"need it, remove it with: amulet chats remove {chat}"
        ) from None


def stored(db: sqlite3.Connection, which: str, *values: str) -> list[Row]:
    """Messages, by a condition."""
    found = db.execute(f"SELECT {COLUMNS} FROM messages WHERE {which}", values).fetchall()
    return as_stored(found, list[Row])


def inputs(db: sqlite3.Connection, limit: int) -> list[str]:
    """What the user said last, as it is typed, over all chats, the newest last."""
    said = db.execute(
        "SELECT text, wish FROM messages WHERE role = 'user' ORDER BY number DESC LIMIT ?",
        (limit,),
    ).fetchall()
    texts = as_stored(said, list[tuple[str, str]])
    return [join_wish(text, wish) for text, wish in reversed(texts)]


def known(db: sqlite3.Connection, chat: str, messages: Iterable[str]) -> bool:
    """Whether the id of a chat, or one of these messages', is taken."""
    if db.execute("SELECT 1 FROM chats WHERE id = ?", (chat,)).fetchone():
        return True
    taken = "SELECT 1 FROM messages WHERE id = ?"
    return any(db.execute(taken, (message,)).fetchone() for message in messages)


def add_chat(
    db: sqlite3.Connection, chat: str, title: str, told: Conversation, changed: float
) -> None:
    """Keep a whole chat; see History.add_chat."""
    db.execute(
        "INSERT INTO chats (id, title, changed, leaf) VALUES (?, ?, ?, ?)",
        (chat, title, changed, told.leaf),
    )
    for node in told.nodes:
        insert(db, chat, node)


def save_draft(db: sqlite3.Connection, text: str, chat: str) -> None:
    """Keep what is typed in a chat; nothing, once it is sent."""
    if text:
        db.execute("REPLACE INTO drafts (chat, text) VALUES (?, ?)", (chat, text))
    else:
        db.execute("DELETE FROM drafts WHERE chat = ?", (chat,))


def insert(db: sqlite3.Connection, chat: str, node: Node, writer: str | None = None) -> None:
    """Keep a new message. writer: of a reply that grows, the process that writes it."""
    ending = node.ending
    if node.origin and not ending and not writer:  # copied while it was being written
        ending = Ending("interrupted")
    db.execute(
        f"INSERT INTO messages ({COLUMNS}, chat) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            node.id,
            node.parent,
            node.message.role,
            node.message.text,
            _encoded(StoredOrigin.of(node.origin) if node.origin else None),
            _encoded(ending),
            _packed(node.message.token_ids),
            node.measures,
            node.thought.text,
            _packed(node.thought.token_ids),
            node.message.wish,
            writer,
            chat,
        ),
    )


def add(db: sqlite3.Connection, chat: str, node: Node, writer: str | None) -> None:
    """Keep a new message as the leaf of its chat, which is made with its first, and brought back
    where it was removed, as is what the message follows."""
    db.execute(
        """INSERT INTO chats (id, title, changed, leaf) VALUES (?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE
        SET changed = excluded.changed, leaf = excluded.leaf, deleted = NULL""",
        (chat, title_of(node.message.text), node.made, node.id),
    )
    db.execute(
        f"""{ANCESTORS} UPDATE messages SET deleted = NULL
        WHERE deleted IS NOT NULL AND id IN ancestors""",
        (node.parent,),
    )
    insert(db, chat, node, writer)


def delete(db: sqlite3.Connection, message: str, deletion: str) -> None:
    """Take out a message and all that follows, under the name of a deletion."""
    db.execute(
        f"""{FOLLOWING.format("id = ?")} UPDATE messages SET deleted = ?
        WHERE deleted IS NULL AND id IN following""",
        (message, deletion),
    )


def undelete(db: sqlite3.Connection, deletion: str) -> None:
    """Undo a deletion; under a message that is itself deleted, it joins that deletion."""
    db.execute(
        """UPDATE messages SET deleted = (
            SELECT above.deleted FROM messages top JOIN messages above
            ON above.id = top.parent AND above.deleted IS NOT top.deleted
            WHERE top.deleted = ?1
        ) WHERE deleted = ?1""",
        (deletion,),
    )


def finish(db: sqlite3.Connection, node: Node) -> None:
    """Keep a reply as it has become. Raises UsageError where it was removed."""
    message = node.message
    done = db.execute(
        """UPDATE messages SET text = ?, token_ids = ?, measures = ?, thought = ?,
        thought_ids = ?, ending = ?, writer = NULL WHERE id = ?""",
        (
            message.text,
            _packed(message.token_ids),
            node.measures,
            node.thought.text,
            _packed(node.thought.token_ids),
            _encoded(node.ending),
            node.id,
        ),
    )
    if not done.rowcount:
        raise removed_meanwhile()
    db.execute("DELETE FROM pieces WHERE message = ?", (node.id,))


def discard(db: sqlite3.Connection, node: Node) -> None:
    """Forget a message that came to nothing, and the chat that has no other."""
    db.execute("DELETE FROM messages WHERE id = ?", (node.id,))
    db.execute("UPDATE chats SET leaf = ? WHERE leaf = ?", (node.parent, node.id))
    db.execute(
        """DELETE FROM chats WHERE leaf IS NULL
        AND NOT EXISTS (SELECT 1 FROM messages WHERE chat = chats.id)"""
    )


def add_piece(
    db: sqlite3.Connection,
    message: str,
    text: str,
    token_ids: Sequence[int],
    measures: bytes,
    thought: str,
) -> None:
    """Keep what a growing reply has more."""
    db.execute(
        "INSERT INTO pieces (message, text, token_ids, measures, thought) VALUES (?, ?, ?, ?, ?)",
        (message, text, _packed(token_ids), measures, thought),
    )


def grown(db: sqlite3.Connection, node: Node) -> Node:
    """A growing reply with the pieces that were kept of it."""
    rows = db.execute(
        "SELECT text, token_ids, measures, thought FROM pieces WHERE message = ? ORDER BY number",
        (node.id,),
    ).fetchall()
    if not rows:
        return node
    pieces = as_stored(rows, list[tuple[str, bytes, bytes, str]])
    text, token_ids, measures, thought = zip(*pieces, strict=True)
    ids = _unpacked(b"".join(token_ids))
    return node.grown("".join(text), ids, b"".join(measures), "".join(thought))


def _encoded(struct_: StoredOrigin | Ending | None) -> bytes | None:
    return None if struct_ is None else msgspec.msgpack.encode(struct_)


def _packed(token_ids: Sequence[int]) -> bytes:
    """Four bytes for each token, little endian."""
    return struct.pack(f"<{len(token_ids)}i", *token_ids)


def _unpacked(token_ids: bytes) -> tuple[int, ...]:
    """Those of `_packed`; none of what that cannot have been."""
    return () if len(token_ids) % 4 else struct.unpack(f"<{len(token_ids) // 4}i", token_ids)


def _decoded(stored: bytes | None, kind: type[Stored]) -> Stored | None:
    """What was encoded; None where there is nothing, or what cannot be read."""
    with suppress(*DECODER_ERRORS):
        return msgspec.msgpack.decode(stored, type=kind) if stored else None
    return None
