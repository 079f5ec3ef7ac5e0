"""Connections to SQLite files, as all of ours are."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from functools import partial
from pathlib import Path

from amulet_local.chats.migrations import migrate
from amulet_local.files import private


def connect(path: Path | str, patience: float = 0.0) -> sqlite3.Connection:
    """A connection, for any thread, to a file that is private where it is new.

    patience: seconds that are waited for another process. Raises OSError, sqlite3.Error.
    """
    if isinstance(path, Path):  # SQLite gives what it puts beside a file the file's own mode
        with suppress(FileExistsError):
            os.close(private(str(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    db = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    db.text_factory = partial(str, encoding="utf-8", errors="replace")  # of what is damaged
    db.execute("PRAGMA secure_delete = ON")  # zeros in place of what is deleted
    db.execute("PRAGMA cache_size = -500")  # KiB of pages; the system has them all, mostly
    db.execute("PRAGMA temp_store = MEMORY")  # nothing of it in other folders
    return db


def connected(path: Path | str, patience: float = 0.0) -> sqlite3.Connection:
    """A connection with all tables, and a log. Raises as `connect` and `prepare` do."""
    db = connect(path, patience)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # survives a kill; a power cut may take seconds
        prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables what they are to be. Raises NewerStoreError, sqlite3.Error."""
    db.execute("PRAGMA foreign_keys = ON")
    migrate(db)
