"""What can be read of a damaged store, table by table, put into a new one.

Rows go in as they stand on the pages, known for what they are by what they hold; chats come out
that can be opened: a chat whose own row is lost gets a title from its first message, and a reply
whose question is lost gets one that says so.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from amulet_local.chats.connecting import connected
from amulet_local.chats.ids import CHAT_PATTERN, ID_PATTERN, LATEST, new_id, time_of
from amulet_local.chats.listing import title_of
from amulet_local.chats.pages import USUAL_SIZE, Pages, Row, Value

LOST = "(This message was lost when the chats file was damaged.)"

TABLES = ("chats", "messages", "pieces", "drafts", "votes")  # in the order of what they refer to
_CHAT, _ID = re.compile(CHAT_PATTERN), re.compile(ID_PATTERN)
_NAMES = {  # by which rows of one table are told from those of another
    ("chats", "id"): _CHAT,
    ("messages", "id"): _ID,
    ("messages", "chat"): _CHAT,
    ("messages", "role"): re.compile("user|assistant"),
    ("pieces", "message"): _ID,
    ("drafts", "chat"): re.compile(f"|{CHAT_PATTERN}"),
    ("votes", "ballot"): _ID,
}
_TYPES: dict[str, tuple[type, ...]] = {
    "TEXT": (str,),
    "BLOB": (bytes,),
    "REAL": (int, float),
    "INTEGER": (int,),
}

Record = dict[str, Any]


@dataclass(frozen=True)
class Salvaged:
    """How much was saved. lost: messages that are known to be missing."""

    chats: int = 0
    messages: int = 0
    lost: int = 0


@dataclass(frozen=True)
class _Column:
    """name: of its table and its own. types: of its values; none for the number of the row."""

    table: str
    name: str
    types: tuple[type, ...]
    optional: bool
    added: bool

    def fits(self, value: Value) -> bool:
        """Whether it may hold a value."""
        if value is None:
            return self.optional
        if not isinstance(value, self.types) or (isinstance(value, float) and math.isnan(value)):
            return False
        if (self.table, self.name) == ("chats", "changed"):
            return isinstance(value, int | float) and 0 <= value <= LATEST
        name = _NAMES.get((self.table, self.name))
        return name is None or (isinstance(value, str) and bool(name.fullmatch(value)))


def salvage(damaged: Path, db: sqlite3.Connection) -> Salvaged:
    """Put what can be read of a damaged file into a new store. Raises sqlite3.Error where that
    cannot be written to, OSError where the file cannot be read."""
    found = _found(damaged)
    messages = {record["id"]: record for record in found["messages"]}
    lost = list(_mended(messages))
    found["messages"] = sorted([*messages.values(), *lost], key=lambda record: record["id"])
    found["chats"] += _forgotten({record["id"] for record in found["chats"]}, messages.values())
    found["pieces"] = [record for record in found["pieces"] if record["message"] in messages]
    db.execute("BEGIN IMMEDIATE")
    try:
        for table in TABLES:
            _insert(db, table, found[table])
        (kept,) = db.execute("SELECT count(DISTINCT chat) FROM messages").fetchone()
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
    return Salvaged(kept, len(messages), len(lost))


_APART = """
    SELECT 1 FROM messages m LEFT JOIN messages above ON above.id = m.parent
    WHERE above.role = m.role OR above.chat <> m.chat OR (m.parent IS NULL AND m.role <> 'user')
"""


def misfit(db: sqlite3.Connection) -> str:
    """A table with a row that may not be one of it, as no version has ever written it, or that does
    not hang together with the others; "" for none.

    SQLite itself lets any value be anywhere. Raises sqlite3.Error.
    """
    if found := db.execute("PRAGMA foreign_key_check").fetchone():
        return str(found[0])
    if db.execute(_APART).fetchone():
        return "messages"
    for table, columns in _columns().items():
        names = ", ".join(column.name if column.types else "NULL" for column in columns)
        if not all(_is_of(columns, row) for row in db.execute(f"SELECT {names} FROM {table}")):
            return table
    return ""


def _insert(db: sqlite3.Connection, table: str, records: Iterable[Record]) -> None:
    """Add records; of several with one name, the first."""
    for record in records:
        columns, marks = ", ".join(record), ", ".join("?" * len(record))
        db.execute(
            f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", tuple(record.values())
        )


# -- which table a row is of ----------------------------------------------------------------------


@cache
def _columns() -> dict[str, list[_Column]]:
    """Those of each table of a new store; the ones with a default were added by later versions, at
    the end."""
    with closing(connected(":memory:")) as db:
        return {
            table: [
                _Column(
                    table,
                    name,
                    () if type_ == "INTEGER" and key else _TYPES[type_],
                    not needed and (not key or type_ == "INTEGER"),
                    default is not None,
                )
                for name, type_, needed, default, key in db.execute(
                    "SELECT name, type, [notnull], dflt_value, pk FROM pragma_table_info(?)",
                    (table,),
                )
            ]
            for table in TABLES
        }


def _found(damaged: Path) -> dict[str, list[Record]]:
    """The rows of each table as records, in the order of their numbers, without these."""
    tables = _columns()
    rows: dict[str, list[tuple[int, int, Row]]] = {table: [] for table in tables}
    order = count()
    for number, row in _pages(damaged).rows():
        for table, columns in tables.items():
            if _is_of(columns, row):
                rows[table].append((number, next(order), row))
                break
        else:
            if message := _message(tables["messages"], row):
                rows["messages"].append((number, next(order), message))
    return {
        table: [
            {
                column.name: value
                for column, value in zip(tables[table], row, strict=False)
                if column.types
            }
            for _, _, row in sorted(rows[table])
        ]
        for table in tables
    }


def _pages(damaged: Path) -> Pages:
    """Its pages, as large as it says or as they usually are: by which more can be read."""
    told = Pages(damaged)
    if told.size == USUAL_SIZE:
        return told
    return max(told, Pages(damaged, USUAL_SIZE), key=lambda pages: sum(1 for _ in pages.rows()))


def _is_of(columns: Sequence[_Column], row: Row) -> bool:
    """Whether a row may be one of a table, written by this version or an earlier one."""
    return _is_as_long(columns, row) and all(
        column.fits(value) for column, value in zip(columns, row, strict=False)
    )


def _is_as_long(columns: Sequence[_Column], row: Row) -> bool:
    """Whether a row has as many values as one of a table had in this version or an earlier one."""
    return sum(not column.added for column in columns) <= len(row) <= len(columns)


def _message(columns: Sequence[_Column], row: Row) -> Row | None:
    """A row that is a message by its names, without what it cannot hold: bits that flip may make
    bytes of a text, or what cannot be read of how a reply came about. None for any other."""
    if not _is_as_long(columns, row):
        return None
    values: list[Value] = []
    for column, value in zip(columns, row, strict=False):
        if column.fits(value):
            values.append(value)
        elif (column.table, column.name) in _NAMES:
            return None
        elif str in column.types and isinstance(value, bytes):
            values.append(value.decode(errors="replace"))
        else:
            values.append(None if column.optional else column.types[0]() if column.types else None)
    return tuple(values)


# -- what is missing ------------------------------------------------------------------------------


def _mended(messages: dict[str, Record]) -> Iterator[Record]:
    """Have messages hang together again, in place; the questions that are made up for it."""
    for name, record in messages.items():
        above = messages.get(record["parent"] or "")
        user = record["role"] == "user"
        if above is None:
            fits = user and record["parent"] is None
        else:  # an older one, so that there are no circles
            fits = above["chat"] == record["chat"] and above["role"] != record["role"]
            fits = fits and above["id"] < name
        if fits:
            continue
        record["parent"] = None
        if not user:
            record["parent"] = made_up = new_id(time_of(name))
            yield {
                "id": made_up,
                "chat": record["chat"],
                "parent": None,
                "role": "user",
                "deleted": record["deleted"],
                "text": LOST,
                "token_ids": b"",
                "measures": b"",
            }


def _forgotten(known: set[str], messages: Iterable[Record]) -> list[Record]:
    """Records for chats of which only messages are left."""
    chats: dict[str, Record] = {}
    for record in sorted(messages, key=lambda record: str(record["id"])):
        if (chat := record["chat"]) in known:
            continue
        title = title_of(record["text"]) if record["role"] == "user" else ""
        made = chats.setdefault(chat, {"id": chat, "title": ""})
        made["title"] = made["title"] or title
        made |= {"changed": time_of(record["id"]), "leaf": record["id"]}
    return list(chats.values())
