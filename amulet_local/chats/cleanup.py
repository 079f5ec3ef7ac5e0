"""How the store is opened, and put in order then: replies left unfinished, what was removed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from amulet_local.chats import rows
from amulet_local.chats.database import Database
from amulet_local.chats.database_errors import NotKeptError, RemovedError
from amulet_local.chats.erasing import mark
from amulet_local.chats.ids import new_id
from amulet_local.chats.prompt_cache_files import KEPT, forget, forget_all
from amulet_local.chats.provenance import Ending
from amulet_local.system.process_ids import is_alive

Act = Callable[[sqlite3.Connection], object]

_SHORT_S = 0.05  # that is waited for another process before it is tried again
KEPT_S = 30 * 24 * 3600.0  # what was removed, until it goes for good


def open_store(path: Path | None, *, unkept: bool, in_turn: bool) -> Database:
    """The file of the chats, or in its place a copy in memory, where that is allowed and the file
    cannot be written to. in_turn: for whoever does not wait for others.

    Raises UsageError, NotUsableError.
    """
    for gave_way in (False, True):
        try:
            return Database(path, patience=_SHORT_S if in_turn else None, apart=in_turn)
        except NotKeptError as error:
            if path and error.full and not gave_way:
                forget_all(path.parent / KEPT)  # which can be found out again
                continue
            if not unkept:
                raise
            return _unkept(path, error)
    raise AssertionError


def _unkept(path: Path | None, error: NotKeptError) -> Database:
    database = Database(path, unkept=True)
    database.refused = f"Chats cannot be saved in {path} ({error.reason})"
    return database


def put_in_order(database: Database, path: Path | None, save: Callable[[Act], object]) -> None:
    """End what was left unfinished, and remove what is to go. save: how acts are carried out.

    A row that refers to what is not there, in a large file that was not looked through, keeps
    neither from being opened. Raises UsageError, DamagedError.
    """
    with suppress(RemovedError):
        _end_abandoned(database, save)
    with suppress(RemovedError):
        _purge(database, path, time.time() - KEPT_S, save)


def _end_abandoned(database: Database, save: Callable[[Act], object]) -> None:
    """Make replies whose writer is gone interrupted ones; those without text go."""
    growing = "writer IS NOT NULL"
    with database.reading() as db:
        if not rows.stored(db, growing):
            return

    def act(db: sqlite3.Connection) -> None:  # and read again, for another may do the same
        for row in rows.stored(db, growing):
            if is_alive(row.writer or ""):
                continue
            node = rows.grown(db, row.node())
            if node.message.text or node.thought.text:
                rows.finish(db, replace(node, ending=Ending("interrupted")))
            else:
                rows.discard(db, node)

    save(act)


def _purge(
    database: Database, path: Path | None, before: float, save: Callable[[Act], object]
) -> None:
    """Remove for good what was removed before this time."""
    old, moment = "deleted < ?", (new_id(before),)
    with database.reading() as db:
        if not any(
            db.execute(f"SELECT 1 FROM {table} WHERE {old} LIMIT 1", moment).fetchone()
            for table in ("chats", "messages")
        ):
            return

    def act(db: sqlite3.Connection) -> None:
        mark(db)
        chats = db.execute(f"SELECT DISTINCT chat FROM messages WHERE {old}", moment).fetchall()
        db.execute(f"DELETE FROM chats WHERE {old}", moment)
        db.execute(
            f"{rows.FOLLOWING.format(old)} DELETE FROM messages WHERE id IN following", moment
        )
        db.execute("DELETE FROM chats WHERE id NOT IN (SELECT chat FROM messages)")
        db.execute("DELETE FROM drafts WHERE chat NOT IN (SELECT id FROM chats) AND chat <> ''")
        if path:  # what is kept of those chats may tell what was removed
            forget(path.parent / KEPT, [chat for (chat,) in chats])

    save(act)
