"""Damaged files of chats: found, replaced by what can be read of them, kept for the user.

A path goes in; out comes a connection to a file that seems sound, or an error of SQLite's.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing, suppress
from datetime import datetime
from functools import cache
from pathlib import Path

from amulet_local.chats.connecting import connect, connected, prepare
from amulet_local.chats.database_errors import damage, damage_decoded, is_damage
from amulet_local.chats.pages import Pages
from amulet_local.chats.salvage import TABLES, Salvaged, misfit, salvage
from amulet_local.errors import cause
from amulet_local.files import part_of
from amulet_local.system import paths

_SMALL = 4 * 1024 * 1024  # bytes; looked through in a few milliseconds
_UNREADABLE = (ValueError, RecursionError, IndexError, struct.error, MemoryError)


def suspect(path: Path) -> Path:
    """The mark of a file in which damage was met; the next to open it looks closely."""
    return path.with_suffix(".suspect")


@damage_decoded()
def checked(path: Path, patience: float) -> sqlite3.Connection:
    """A connection to a file that seems sound. Raises sqlite3.DatabaseError if it is not.

    A large file is looked through only once damage was met in it: that takes its time.
    """
    mark = suspect(path)
    db = connected(path, patience)
    try:
        if paths.exists(mark) or path.stat().st_size < _SMALL:
            _look_through(db, closely=paths.exists(mark))
        if not _schema() <= _described(db):
            raise damage("the tables are not what they were")
        if paths.exists(mark) or not _finds_words(db):
            db.execute("INSERT INTO found (found) VALUES ('rebuild')")  # that is not checked
            mark.unlink(missing_ok=True)
    except BaseException:
        db.close()
        raise
    return db


def _look_through(db: sqlite3.Connection, *, closely: bool) -> None:
    """closely: and compare each table with its indexes."""
    checks = ["quick_check(1)", *(f"integrity_check({table})" for table in TABLES if closely)]
    for check in checks:
        (found,) = db.execute(f"PRAGMA {check}").fetchone()
        if found != "ok":
            raise damage(found)
    if table := misfit(db):
        raise damage(f"{table} has a row that cannot be one of it")


@cache
def _schema() -> set[tuple[str, str]]:
    """What the tables of a new store are."""
    with closing(connected(":memory:")) as db:
        return _described(db)


def _described(db: sqlite3.Connection) -> set[tuple[str, str]]:
    """Columns of tables, and triggers, views and indexes as they were written."""
    columns = db.execute(
        """SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
        WHERE m.type = 'table' AND m.name NOT LIKE 'found_%'"""
    )
    others = db.execute("SELECT name, sql FROM sqlite_master WHERE type <> 'table' AND sql <> ''")
    return {*columns, *others}


def _finds_words(db: sqlite3.Connection) -> bool:
    try:
        db.execute("SELECT rowid FROM found WHERE found MATCH 'a' LIMIT 1").fetchall()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return False
    return True


def copied(path: Path) -> tuple[sqlite3.Connection, str]:
    """A connection to a copy in memory of as much of a file as can be read, and what is to be told
    of it, in a sentence or nothing. Raises what SQLite raises where memory is no place for it."""
    db = connect(":memory:")
    try:
        if not _is_there(path):
            prepare(db)
            return db, ""
        with suppress(sqlite3.Error), damage_decoded():
            db.deserialize(Pages(path).whole())
            prepare(db)
            _look_through(db, closely=True)
            return db, ""
        db.close()
        db = connected(":memory:")
        return db, _told(_salvaged(path, db), "")
    except OSError as error:
        db.close()
        return connected(":memory:"), f"Chats cannot be read in {path} ({cause(error)})."
    except BaseException:
        db.close()
        raise


def replace(path: Path) -> str:
    """Put what can be read of a damaged file in its place, and keep it under another name; returns
    what is to be told of that. Cut off at any time, the next start does it again, or has it done.

    Raises sqlite3.Error, OSError where there is no room for it.
    """
    part = part_of(path)
    try:
        with closing(connect(part)) as db:
            db.execute("PRAGMA journal_mode = MEMORY")
            prepare(db)
            saved = _salvaged(path, db)
        aside = _kept_aside(path)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    suspect(path).unlink(missing_ok=True)
    return _told(saved, f", and it has been kept as {aside}")


def _salvaged(path: Path, db: sqlite3.Connection) -> Salvaged:
    try:
        return salvage(path, db)
    except _UNREADABLE:  # which no damage that was thought of brings about
        return Salvaged()


def _told(saved: Salvaged, kept: str) -> str:
    if not saved.messages:
        return f"Your chats file was damaged: nothing could be recovered from it{kept}."
    lost = f"; {saved.lost:,} more are known to be lost" if saved.lost else ""
    return (
        f"Your chats file was damaged: {saved.messages:,} messages in {saved.chats:,} chats were "
        f"recovered from it{lost}{kept}."
    )


def _kept_aside(path: Path) -> Path:
    """Give a file, and what SQLite keeps beside it, a name that tells when; the file itself stays
    where it is, too, if the system can do that."""
    aside = path.with_name(f"{path.stem}-damaged-{datetime.now():%Y%m%d-%H%M%S-%f}{path.suffix}")
    try:
        os.link(path, aside)
    except OSError:
        path.rename(aside)
    for end in ("-wal", "-shm"):
        beside = path.with_name(path.name + end)
        if paths.exists(beside):
            beside.rename(aside.with_name(aside.name + end))
    return aside


def set_aside_of(path: Path) -> list[Path]:
    """The damaged files that were kept, with what SQLite had beside them, and the mark."""
    return sorted((suspect(path), *paths.matching(path.parent, f"{path.stem}-damaged-*")))


def _is_there(path: Path) -> bool:
    return path.stat().st_size > 0 if path.exists() else False
