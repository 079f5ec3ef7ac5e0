"""What was removed for good leaves no byte in the file: neither in free pages nor among the words.

SQLite puts zeros over what it deletes, but copies of it stay where pages were divided, the index of
words keeps them until its segments are merged, and the log beside the file has all of it once more.
A file in which something was removed is marked, so that what cannot be erased now is erased later.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from amulet_local.chats.database import Database
from amulet_local.errors import AmuletError

_ERASED = int.from_bytes(b"AMUL", "big")  # the mark of a file with nothing to erase


def mark(db: sqlite3.Connection) -> None:
    """Note, in the transaction that removes something, that it is to be erased."""
    db.execute("PRAGMA application_id = 0")


def is_marked(database: Database) -> bool:
    """Whether there is something to erase; so it is in files of earlier versions."""
    with database.reading() as db:
        return bool(db.execute("PRAGMA application_id").fetchone() != (_ERASED,))


def merge_words(db: sqlite3.Connection) -> None:
    """Have the index of words forget those of texts that are not there any more."""
    db.execute("INSERT INTO found (found) VALUES ('optimize')")


def erase(database: Database) -> bool:
    """Write the file anew, and empty the log; takes a second for each hundred megabytes.

    False where a full disk, or another process, is in the way of it. Raises DamagedError.
    """
    with suppress(AmuletError):
        with database.writing() as db:
            merge_words(db)
        with database.alone() as db:
            db.execute("VACUUM")
            db.execute(f"PRAGMA application_id = {_ERASED}")
        return empty_log(database)
    return False


def empty_log(database: Database) -> bool:
    """Put what is in the log into the file; False where another process reads or writes."""
    with database.alone() as db:
        (busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
