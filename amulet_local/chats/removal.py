"""Whether a chat was removed, for a process that only asks and has no store open."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from amulet_local.chats.database_errors import damage_decoded
from amulet_local.chats.history import THERE, history_file
from amulet_local.system import paths


def is_removed(chat: str) -> bool:
    """Whether a chat is not, or no longer, stored; for a process that only asks. False where
    nothing was ever stored."""
    path = history_file()
    if not paths.exists(path):
        return False
    try:
        with (
            damage_decoded(),
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db,
        ):
            return db.execute(THERE, (chat,)).fetchone() is None
    except sqlite3.Error:
        return True  # and nothing is to be kept of what may be removed
