"""Chats as lists show them: titles, the days on which they were last added to, page by page."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Annotated

import msgspec

from amulet_local.chats.database_errors import as_stored
from amulet_local.chats.ids import LATEST, ChatId
from amulet_local.chats.search import SPACE
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.system.text_files import shortened

_TITLE = 60  # characters
_SUMMARIES = """
    SELECT id, title, changed,
        (SELECT count(*) FROM messages WHERE chat = chats.id AND deleted IS NULL)
    FROM chats WHERE deleted IS NULL
        AND EXISTS (SELECT 1 FROM messages WHERE chat = chats.id AND deleted IS NULL)
"""

_Row = tuple[ChatId, str, Annotated[float, msgspec.Meta(ge=0, le=LATEST)], int]


@dataclass(frozen=True)
class Summary:
    """A chat as a list shows it. changed: seconds since 1970; messages: on all branches."""

    id: str
    title: str
    changed: float
    messages: int

    @property
    def day(self) -> date:
        """On which it was last added to, here."""
        return date.fromtimestamp(self.changed)


def title_of(text: str) -> str:
    """A title made from a text: its first line, cut at a word where it is long."""
    lines = (SPACE.sub(" ", line).split() for line in text.splitlines())
    line = " ".join(next(filter(None, lines), ()))
    if len(line) <= _TITLE:
        return line
    cut = line[: _TITLE - 1]
    words = cut.rpartition(" ")[0]
    return (words if len(words) > _TITLE // 2 else cut) + "…"


def by_day(chats: Iterable[Summary]) -> Iterator[tuple[date, list[Summary]]]:
    """Chats as listed, in the days on which they were last added to."""
    for day, those in groupby(chats, lambda chat: chat.day):
        yield day, list(those)


def day_in_words(day: date) -> str:
    """What a list calls a day."""
    match (date.today() - day).days:
        case 0:
            return "Today"
        case 1:
            return "Yesterday"
    return f"{day:%A}, {day.day} {day:%B %Y}"


def page(db: sqlite3.Connection, limit: int, after: Summary | None) -> list[Summary]:
    """Chats, the last changed first; after: the last of the page before."""
    start = (after.changed, after.id) if after else (float("inf"), "")
    rows = db.execute(
        f"{_SUMMARIES} AND (changed, id) < (?, ?) ORDER BY changed DESC, id DESC LIMIT ?",
        (*start, limit),
    )
    return _summaries(rows)


def count(db: sqlite3.Connection) -> int:
    """How many chats there are."""
    (number,) = db.execute(f"SELECT count(*) FROM ({_SUMMARIES})").fetchone()
    return int(number)


def find(db: sqlite3.Connection, name: str) -> Summary:
    """The chat whose id begins like this; see History.find."""
    found = _begins_with(db, name, 4)
    if not found or not name:
        raise NotUsableError(
            f"no chat has an id that begins with {shortened(name)!r}; list them with: amulet chats"
        )
    if len(found) > 1 and found[0].id != name:
        names = ", ".join(chat.id for chat in found[:3])
        raise UsageError(f"more than one chat id begins with {name!r} ({names}); type more of it.")
    return found[0]


def _begins_with(db: sqlite3.Connection, name: str, limit: int) -> list[Summary]:
    """Chats whose id begins like this, first the one whose id it is."""
    rows = db.execute(
        f"{_SUMMARIES} AND substr(id, 1, ?) = ? ORDER BY id = ? DESC, changed DESC LIMIT ?",
        (len(name), name, name, limit),
    )
    return _summaries(rows)


def summary(db: sqlite3.Connection, chat: str) -> Summary | None:
    """A chat as a list shows it; None where it was removed."""
    found = _summaries(db.execute(f"{_SUMMARIES} AND id = ?", (chat,)))
    return found[0] if found else None


def _summaries(rows: Iterable[object]) -> list[Summary]:
    return [Summary(*row) for row in as_stored(list(rows), list[_Row])]
