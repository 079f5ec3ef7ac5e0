"""Messages of a chat as rows of the database, and back.

Every function takes a connection in whose transaction it works.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence

import msgspec

from amulet_local.chats.conversation import NO_THOUGHT, Node, Thought
from amulet_local.chats.database_errors import removed_meanwhile
from amulet_local.chats.provenance import Ending, StoredOrigin
from amulet_local.protocol.message import Message, Role

UNREADABLE = (ValueError, struct.error)  # what decoding raises
COLUMNS = "id, parent, role, text, origin, ending, token_ids, measures, thought, thought_ids, wish"
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


def insert(db: sqlite3.Connection, chat: str, node: Node, writer: str | None = None) -> None:
    """Keep a new message. writer: of a reply that grows, the process that writes it."""
    ending = node.ending
    if node.origin and not ending and not writer:  # copied while it was being written
        ending = Ending("interrupted")
    db.execute(
        f"INSERT INTO messages ({COLUMNS}, chat, writer) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
            chat,
            writer,
        ),
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
    text, token_ids, measures, thought = zip(*rows, strict=True)
    ids = _unpacked(b"".join(token_ids))
    return node.grown("".join(text), ids, b"".join(measures), "".join(thought))


def node_of(
    name: str,
    parent: str | None,
    role: Role,
    text: str,
    origin: bytes | None,
    ending: bytes | None,
    token_ids: bytes,
    measures: bytes,
    thought: str,
    thought_ids: bytes,
    wish: str,
) -> Node:
    """The message of a row of COLUMNS. Raises one of UNREADABLE."""
    return Node(
        name,
        parent,
        Message(role, text, _unpacked(token_ids), wish),
        msgspec.msgpack.decode(origin, type=StoredOrigin).origin() if origin else None,
        msgspec.msgpack.decode(ending, type=Ending) if ending else None,
        measures,
        Thought(thought, _unpacked(thought_ids)) if thought or thought_ids else NO_THOUGHT,
    )


def _encoded(struct_: StoredOrigin | Ending | None) -> bytes | None:
    return None if struct_ is None else msgspec.msgpack.encode(struct_)


def _packed(token_ids: Sequence[int]) -> bytes:
    """Four bytes for each token, little endian."""
    return struct.pack(f"<{len(token_ids)}i", *token_ids)


def _unpacked(token_ids: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(token_ids) // 4}i", token_ids)
