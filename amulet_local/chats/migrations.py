"""The store's tables, as named steps from each version to the next.

A store says in `user_version` how many steps it has taken; the rest are taken in one transaction.
A step that was released is never changed: another one follows it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable

from amulet_local.system.interrupts import interrupts_wait

# Scripts that put no spaces between words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
SEPARATOR = "\u200b"  # a space without width


def spaced(text: str) -> str:
    """A text in which the index of words finds any part, in any script: each character of a
    script without spaces becomes a word. The tables' triggers call it."""
    return _UNSPACED.sub(rf"{SEPARATOR}\g<0>{SEPARATOR}", text)


class NewerStoreError(Exception):
    """The store was written by a version that knows more steps than this one."""


def migrate(db: sqlite3.Connection) -> None:
    """Make the store ready for use. Raises NewerStoreError, sqlite3.Error; on Ctrl+C, which ends
    it soon, KeyboardInterrupt, and the store is as it was."""
    db.create_function("spaced", 1, spaced, deterministic=True)
    db.execute("PRAGMA trusted_schema = ON")  # else triggers may not call it
    if _version(db) != len(STEPS):
        with interrupts_wait(db.interrupt):
            _take_steps(db)


def _take_steps(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version(db)  # another process may have been first
        if version > len(STEPS):
            raise NewerStoreError
        if version < 0:
            damage = sqlite3.DatabaseError(f"version {version}")
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
        for step in STEPS[version:]:
            step(db)
        db.execute(f"PRAGMA user_version = {len(STEPS)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _chats_and_messages(db: sqlite3.Connection) -> None:
    """`leaf` and `deleted` are ids (see ids.py), a deletion's id naming all that went with it.

    A message that is being written has a writer, and grows in `pieces`. What is searched and
    filtered stands before the text, and what is long behind it.
    """
    db.execute(
        """CREATE TABLE chats (
            id TEXT PRIMARY KEY,
            title TEXT NOT NULL,
            changed REAL NOT NULL,
            leaf TEXT,
            deleted TEXT
        )"""
    )
    db.execute(
        """CREATE TABLE messages (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            chat TEXT NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
            parent TEXT REFERENCES messages (id) DEFERRABLE INITIALLY DEFERRED,
            role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
            deleted TEXT,
            writer TEXT,
            text TEXT NOT NULL,
            origin BLOB,
            ending BLOB,
            token_ids BLOB NOT NULL,
            measures BLOB NOT NULL
        )"""
    )
    db.execute(
        """CREATE TABLE pieces (
            number INTEGER PRIMARY KEY,
            message TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
            text TEXT NOT NULL,
            token_ids BLOB NOT NULL,
            measures BLOB NOT NULL
        )"""
    )
    db.execute("CREATE TABLE drafts (chat TEXT PRIMARY KEY, text TEXT NOT NULL)")
    db.execute("CREATE INDEX chats_by_change ON chats (changed, id) WHERE deleted IS NULL")
    db.execute("CREATE INDEX chats_deleted ON chats (deleted) WHERE deleted IS NOT NULL")
    db.execute("CREATE INDEX messages_by_chat ON messages (chat, deleted)")
    db.execute("CREATE INDEX messages_by_parent ON messages (parent)")
    db.execute("CREATE INDEX messages_deleted ON messages (deleted) WHERE deleted IS NOT NULL")
    db.execute("CREATE INDEX messages_growing ON messages (writer) WHERE writer IS NOT NULL")
    db.execute("CREATE INDEX pieces_by_message ON pieces (message)")


def _search(db: sqlite3.Connection) -> None:
    """The index of all texts; it holds none itself, so triggers tell it of every change."""
    db.execute("CREATE VIEW spaced_texts AS SELECT number, spaced(text) AS text FROM messages")
    db.execute(
        """CREATE VIRTUAL TABLE found USING fts5 (
            text, content = 'spaced_texts', content_rowid = 'number',
            tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
        )"""
    )
    add = "INSERT INTO found (rowid, text) VALUES (new.number, spaced(new.text));"
    remove = (
        "INSERT INTO found (found, rowid, text) VALUES ('delete', old.number, spaced(old.text));"
    )
    for name, event, statements in (
        ("found_added", "INSERT", add),
        ("found_removed", "DELETE", remove),
        ("found_changed", "UPDATE OF text", remove + add),
    ):
        db.execute(f"CREATE TRIGGER {name} AFTER {event} ON messages BEGIN {statements} END")
    db.execute("INSERT INTO found (found) VALUES ('rebuild')")


def _votes(db: sqlite3.Connection) -> None:
    """A row for everything that stood on a ballot; `ballot` is an id, and one of its rows won."""
    db.execute(
        """CREATE TABLE votes (
            number INTEGER PRIMARY KEY,
            ballot TEXT NOT NULL,
            model TEXT NOT NULL,
            preset TEXT NOT NULL,
            strength REAL NOT NULL,
            won INTEGER NOT NULL
        )"""
    )
    db.execute("CREATE INDEX votes_by_preset ON votes (model, preset)")


def _thoughts(db: sqlite3.Connection) -> None:
    """What a model thought before a reply (see conversation.Thought); it is not searched."""
    db.execute("ALTER TABLE messages ADD COLUMN thought TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE messages ADD COLUMN thought_ids BLOB NOT NULL DEFAULT x''")
    db.execute("ALTER TABLE pieces ADD COLUMN thought TEXT NOT NULL DEFAULT ''")


# What is found of a message, a wish of it as it is typed (see wishes.wish_lines).
_TEXT_AND_WISH = """spaced({0}text || CASE {0}wish WHEN '' THEN '' ELSE
    char(10) || '!! ' || replace({0}wish, char(10), char(10) || '!! ') END)"""


def _wishes(db: sqlite3.Connection) -> None:
    """What is wished of the reply to a message (see protocol.Message); it is found like the text.

    What is in the index already stays as it is: no message has a wish yet.
    """
    db.execute("ALTER TABLE messages ADD COLUMN wish TEXT NOT NULL DEFAULT ''")
    db.execute("DROP VIEW spaced_texts")
    db.execute(
        f"CREATE VIEW spaced_texts AS SELECT number, {_TEXT_AND_WISH.format('')} AS text "
        "FROM messages"
    )
    new, old = _TEXT_AND_WISH.format("new."), _TEXT_AND_WISH.format("old.")
    add = f"INSERT INTO found (rowid, text) VALUES (new.number, {new});"
    remove = f"INSERT INTO found (found, rowid, text) VALUES ('delete', old.number, {old});"
    for name, event, statements in (
        ("found_added", "INSERT", add),
        ("found_removed", "DELETE", remove),
        ("found_changed", "UPDATE OF text, wish", remove + add),
    ):
        db.execute(f"DROP TRIGGER {name}")
        db.execute(f"CREATE TRIGGER {name} AFTER {event} ON messages BEGIN {statements} END")


def _mixes(db: sqlite3.Connection) -> None:
    """Replies may follow several preferences: their origins, and the measures of their tokens, say
    more than earlier versions can read (see provenance). What is there stays as it is.

    A mix on a ballot has a row for each fader, with the number of its choice; without one, a row is
    a choice of its own.
    """
    db.execute("ALTER TABLE votes ADD COLUMN choice INTEGER")


STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _chats_and_messages,
    _search,
    _votes,
    _thoughts,
    _wishes,
    _mixes,
)
