"""What is put in order when the store is opened: replies left unfinished, and what was removed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from amulet_local.chats import rows
from amulet_local.chats.database import Database
from amulet_local.chats.erasing import erase, is_marked, mark
from amulet_local.chats.ids import new_id
from amulet_local.chats.prompt_cache_files import KEPT, forget
from amulet_local.chats.provenance import Ending
from amulet_local.system.process_ids import is_alive

KEPT_S = 30 * 24 * 3600.0  # what was removed, until it goes for good


def open_in_order(path: Path | None, *, unkept: bool = False) -> Database:
    """The file, put in order. Raises DamagedError, UsageError, NotUsableError."""
    database = Database(path, unkept=unkept)
    try:
        _end_abandoned(database)
        _purge(database, path, time.time() - KEPT_S)
        if path and not unkept and is_marked(database):
            erase(database)  # if not now, then at the next start
    except BaseException:
        database.close()
        raise
    return database


def _end_abandoned(database: Database) -> None:
    """Make replies whose writer is gone interrupted ones; those without text go."""
    growing = f"SELECT {rows.COLUMNS}, writer FROM messages WHERE writer IS NOT NULL"
    with database.reading() as db:
        if not db.execute(growing).fetchone():
            return
    with database.writing() as db:  # and read again, for another process may do the same
        for *row, writer in db.execute(growing).fetchall():
            if is_alive(writer):
                continue
            try:
                node = rows.grown(db, rows.node_of(*row))
            except rows.UNREADABLE:
                continue  # which `load` tells of
            if node.message.text or node.thought.text:
                rows.finish(db, replace(node, ending=Ending("interrupted")))
            else:
                rows.discard(db, node)


def _purge(database: Database, path: Path | None, before: float) -> None:
    """Remove for good what was removed before this time."""
    old, moment = "deleted < ?", (new_id(before),)
    with database.reading() as db:
        if not any(
            db.execute(f"SELECT 1 FROM {table} WHERE {old} LIMIT 1", moment).fetchone()
            for table in ("chats", "messages")
        ):
            return
    with database.writing() as db:
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
