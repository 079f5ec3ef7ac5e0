"""Messages that have certain words, and where in a text those stand.

The index itself is SQLite's; migrations.py makes it.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass

from amulet_local.chats.database_errors import as_stored, removed_meanwhile
from amulet_local.chats.ids import ChatId, Id
from amulet_local.chats.migrations import SEPARATOR, spaced
from amulet_local.protocol.message import Role

_AROUND = 16  # words of a snippet

SPACE = re.compile(r"[\s\x00\x01\x04-\x1f\x7f-\x9f]")  # and what steers terminals
_WORDS = re.compile(r'"([^"]+)"|(\S+)')  # words, and phrases in quotation marks
_BEGIN, _END = "\x02", "\x03"  # around what a search found
_Row = tuple[ChatId, str, Id, Role, str]


@dataclass(frozen=True)
class Snippet:
    """A piece of a message on one line, and where in it the words stand, as (start, end)."""

    text: str
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Hit:
    """A message that a search found."""

    chat: str
    title: str
    message: str
    role: Role
    snippet: Snippet


_SEARCH = f"""
    SELECT m.chat, c.title, m.id, m.role,
        snippet(found, 0, '{_BEGIN}', '{_END}', '…', {_AROUND})
    FROM found JOIN messages m ON m.number = found.rowid JOIN chats c ON c.id = m.chat
    WHERE found MATCH ? AND m.deleted IS NULL AND c.deleted IS NULL
    ORDER BY found.rowid DESC LIMIT ?
"""
_MARKED = f"""
    SELECT highlight(found, 0, '{_BEGIN}', '{_END}')
    FROM found JOIN messages m ON m.number = found.rowid
    WHERE found MATCH ? AND m.id = ? AND m.deleted IS NULL
"""


def find_messages(db: sqlite3.Connection, text: str, limit: int) -> list[Hit]:
    """Messages with all of these words, the newest first; see History.search."""
    if not (query := _query(text)):
        return []
    rows = as_stored(db.execute(_SEARCH, (query, limit)).fetchall(), list[_Row])
    return [
        Hit(chat, title, message, role, _unmarked(SPACE.sub(" ", snippet)))
        for chat, title, message, role, snippet in rows
    ]


def mark_words(db: sqlite3.Connection, message: str, text: str) -> Snippet:
    """The whole text of a message, with marks around the words; see History.marked.

    Raises UsageError where the message was removed.
    """
    row = db.execute(_MARKED, (_query(text), message)).fetchone()
    if not row:
        raise removed_meanwhile()
    return _unmarked(*as_stored(row, tuple[str]))


def _query(text: str) -> str:
    """A search as the index takes it; empty where there is no word in it."""
    words = [phrase or word for phrase, word in _WORDS.findall(text)]
    words = [word for word in words if any(map(str.isalnum, word))]
    query = " ".join('"' + spaced(word).replace('"', "") + '"' for word in words)
    if words and text.endswith(words[-1]) and sum(map(str.isalnum, words[-1])) > 1:
        query += "*"
    return query


def _unmarked(found: str) -> Snippet:
    """A text as people read it, of one that SQLite put marks into."""
    text, marks = "", []
    for part in found.replace(SEPARATOR, "").split(_BEGIN):
        word, end, rest = part.rpartition(_END)
        if end:
            marks.append((len(text), len(text) + len(word)))
        text += word + rest
    return Snippet(text, tuple(marks))
