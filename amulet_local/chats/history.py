"""All chats, kept in one SQLite file of the data folder.

Chats, messages and drafts go in, and come out as lists by day, search results and conversations.
What is removed stays for a month, so that it can be brought back. Several processes may have the
store open. Nothing here knows of engines or screens; chat.py puts a chat in memory on top.
"""

from __future__ import annotations

import re
import sqlite3
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from pathlib import Path
from types import TracebackType

import msgspec

from amulet_local.chats.conversation import NO_THOUGHT, Conversation, Node, Thought
from amulet_local.chats.database import DamagedError, Database, NotKeptError, removed_meanwhile
from amulet_local.chats.ids import new_id
from amulet_local.chats.migrations import SEPARATOR, spaced
from amulet_local.chats.prompt_cache_files import KEPT, clear_all_but, forget
from amulet_local.chats.provenance import Ending, Origin
from amulet_local.chats.votes import Votes
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.protocol.message import Message, Role
from amulet_local.settings import data_folder
from amulet_local.system.process_ids import is_alive, this_process

KEPT_S = 30 * 24 * 3600.0  # what was removed, until it goes for good
_TITLE = 60  # characters
_AROUND = 16  # words of a snippet

_SPACE = re.compile(r"[\s\x00\x01\x04-\x1f\x7f-\x9f]")  # and what steers terminals
_WORDS = re.compile(r'"([^"]+)"|(\S+)')  # words, and phrases in quotation marks
_BEGIN, _END = "\x02", "\x03"  # around what a search found
_UNREADABLE = (ValueError, struct.error)  # what decoding raises


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


class History:
    """The store; usable from any thread. Close it, or use it in a `with`.

    Every method raises UsageError or NotUsableError, with one sentence, where the file cannot be
    read or written.
    """

    def __init__(self, path: Path | None, *, unkept: bool = False) -> None:
        """path: see `history_file`; None for a store in memory.

        unkept: where the file cannot be written to, what is in it is read, and what is added is
        gone when the process ends; `notice` tells. Replies that a process left unfinished when it
        ended become interrupted ones. What the engine keeps of chats that are not there any more is
        removed.
        """
        self._kept = path.parent / KEPT if path else None
        self._writer = this_process()
        try:
            self._database = _opened(path)
        except DamagedError:  # met on the way; the second time, the file is set aside
            self._database = _opened(path)
        except NotKeptError as error:
            if not unkept:
                raise
            self._database = _opened(path, unkept=True)
            self._database.notice = (
                f"Chats cannot be kept in {path} ({error.reason}): what is said now is gone when "
                "Amulet ends."
            )
        self.votes = Votes(self._database)
        if self._kept:
            clear_all_but(self._kept, self._lists)

    @property
    def notice(self) -> str:
        """A sentence for the user if a damaged file had to be set aside, or nothing is kept; else
        empty."""
        return self._database.notice

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def __enter__(self) -> History:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- finding ------------------------------------------------------------------------------

    def chats(self, limit: int = 50, after: Summary | None = None) -> list[Summary]:
        """A page of chats, the last changed first; after: the last of the page before."""
        place = (after.changed, after.id) if after else (float("inf"), "")
        with self._database.reading() as db:
            rows = db.execute(
                f"{_SUMMARIES} AND (changed, id) < (?, ?) ORDER BY changed DESC, id DESC LIMIT ?",
                (*place, limit),
            )
            return [Summary(*row) for row in rows]

    def count(self) -> int:
        """How many chats there are."""
        with self._database.reading() as db:
            (number,) = db.execute(f"SELECT count(*) FROM ({_SUMMARIES})").fetchone()
        return int(number)

    def find(self, name: str) -> Summary:
        """The chat whose id begins like this.

        Raises NotUsableError where there is none, UsageError where there are several.
        """
        with self._database.reading() as db:
            rows = db.execute(
                f"{_SUMMARIES} AND substr(id, 1, ?) = ? ORDER BY id = ? DESC, changed DESC LIMIT 4",
                (len(name), name, name),
            )
            found = [Summary(*row) for row in rows]
        if not found or not name:
            raise NotUsableError(
                f"no chat has an id that begins with {name!r}; see them with: amulet chats"
            )
        if len(found) > 1 and found[0].id != name:
            names = ", ".join(chat.id for chat in found[:3])
            raise UsageError(f"more than one chat begins with {name!r} ({names}); type more of it.")
        return found[0]

    def summary(self, chat: str) -> Summary:
        """A chat as a list shows it. Raises UsageError where it was removed."""
        with self._database.reading() as db:
            row = db.execute(f"{_SUMMARIES} AND id = ?", (chat,)).fetchone()
        if not row:
            raise removed_meanwhile()
        return Summary(*row)

    def search(self, text: str, limit: int = 50) -> list[Hit]:
        """Messages with all of these words, the newest first; the last word may be unfinished.

        Words in quotation marks must stand together.
        """
        if not (query := _query(text)):
            return []
        with self._database.reading() as db:
            rows = db.execute(_SEARCH, (query, limit)).fetchall()
        return [
            Hit(chat, title, message, role, _unmarked(_SPACE.sub(" ", snippet)))
            for chat, title, message, role, snippet in rows
        ]

    def marked(self, message: str, text: str) -> Snippet:
        """The whole text of a message, line by line, with marks where `search` found the words.

        Raises UsageError where the message was removed.
        """
        with self._database.reading() as db:
            row = db.execute(_MARKED, (_query(text), message)).fetchone()
        if not row:
            raise removed_meanwhile()
        return _unmarked(row[0])

    def inputs(self, limit: int = 200) -> list[str]:
        """What the user said last, over all chats, the newest last."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT text FROM messages WHERE role = 'user' ORDER BY number DESC LIMIT ?",
                (limit,),
            )
            texts = [text for (text,) in rows]
        return texts[::-1]

    def load(self, chat: str) -> Conversation:
        """All that was said in a chat. Raises NotUsableError where it is damaged."""
        with self._database.reading() as db:
            leaf = db.execute("SELECT leaf FROM chats WHERE id = ?", (chat,)).fetchone()
            rows = db.execute(
                f"SELECT {_COLUMNS}, writer FROM messages WHERE chat = ? AND deleted IS NULL",
                (chat,),
            ).fetchall()
            try:
                nodes = [
                    _grown(db, _node(*row)) if writer else _node(*row) for *row, writer in rows
                ]
                return Conversation(nodes, leaf[0] if leaf else None)
            except _UNREADABLE as error:
                raise NotUsableError(
                    f"the chat {chat} is damaged and cannot be opened ({error}); if you do not "
                    f"need it, remove it with: amulet chats remove {chat}"
                ) from None

    # -- chats --------------------------------------------------------------------------------

    def add_chat(self, chat: str, title: str, conversation: Conversation, changed: float) -> None:
        """Keep a whole chat, imported or copied; its id must be new, and those of its messages.

        changed: the time at which it is listed, in seconds since 1970.
        """
        with self._database.writing() as db:
            db.execute(
                "INSERT INTO chats (id, title, changed, leaf) VALUES (?, ?, ?, ?)",
                (chat, title, changed, conversation.leaf),
            )
            for node in conversation.nodes:
                _insert(db, chat, node)

    def known(self, chat: str, messages: Iterable[str]) -> bool:
        """Whether the id of a chat, or one of these messages', is taken, if only by a removed
        one."""
        with self._database.reading() as db:
            return bool(db.execute("SELECT 1 FROM chats WHERE id = ?", (chat,)).fetchone()) or any(
                db.execute("SELECT 1 FROM messages WHERE id = ?", (message,)).fetchone()
                for message in messages
            )

    def rename(self, chat: str, title: str) -> None:
        """Give a chat a title of the user's own; a blank one changes nothing.

        Raises UsageError where it was removed.
        """
        if title := title_of(title):
            self._change_chat("title = ? WHERE deleted IS NULL AND id = ?", title, chat)

    def remove(self, chat: str) -> None:
        """Take a chat out of all lists; `bring_back` undoes it within a month.

        What the engine keeps of it goes at once. Raises UsageError where it was removed already.
        """
        self._change_chat("deleted = ? WHERE deleted IS NULL AND id = ?", new_id(), chat)
        self._forget(chat)

    def bring_back(self, chat: str) -> None:
        """Undo `remove`. Raises UsageError where the chat is gone for good."""
        self._change_chat("deleted = NULL WHERE id = ?", chat)

    def _change_chat(self, change: str, *values: str) -> None:
        with self._database.writing() as db:
            if not db.execute(f"UPDATE chats SET {change}", values).rowcount:
                raise removed_meanwhile()

    def destroy(self, chat: str) -> None:
        """Remove a chat for good."""
        with self._database.writing() as db:
            db.execute("DELETE FROM drafts WHERE chat = ?", (chat,))
            db.execute("DELETE FROM chats WHERE id = ?", (chat,))
        self._forget(chat)

    def _forget(self, *chats: str) -> None:
        if self._kept:
            forget(self._kept, chats)

    def _lists(self, chat: str) -> bool:
        """Whether a chat is there, and not removed."""
        with self._database.reading() as db:
            return bool(db.execute(_THERE, (chat,)).fetchone())

    def draft(self, chat: str = "") -> str:
        """What was typed and not sent; in a chat not begun yet, where none is named."""
        with self._database.reading() as db:
            row = db.execute("SELECT text FROM drafts WHERE chat = ?", (chat,)).fetchone()
        return str(row[0]) if row else ""

    def save_draft(self, text: str, chat: str = "") -> None:
        """Keep what is typed; nothing, once it is sent."""
        with self._database.writing() as db:
            if text:
                db.execute("REPLACE INTO drafts (chat, text) VALUES (?, ?)", (chat, text))
            else:
                db.execute("DELETE FROM drafts WHERE chat = ?", (chat,))

    # -- messages -----------------------------------------------------------------------------

    def add(self, chat: str, node: Node, *, growing: bool = False) -> None:
        """Keep a message and make it the chat's leaf; the first makes the chat, and its title.

        growing: it is a reply that `grow` will add to, and `finish` or `discard` will end.
        A chat, or an earlier message, that was removed elsewhere comes back.
        """
        with self._database.writing() as db:
            db.execute(
                """INSERT INTO chats (id, title, changed, leaf) VALUES (?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE
                SET changed = excluded.changed, leaf = excluded.leaf, deleted = NULL""",
                (chat, title_of(node.message.text), node.made, node.id),
            )
            db.execute(
                f"""{_ANCESTORS} UPDATE messages SET deleted = NULL
                WHERE deleted IS NOT NULL AND id IN ancestors""",
                (node.parent,),
            )
            _insert(db, chat, node, self._writer if growing else None)

    def grow(
        self,
        message: str,
        text: str,
        token_ids: Sequence[int],
        measures: bytes,
        thought: str = "",
    ) -> None:
        """Keep what a growing reply has more, at a cost that does not depend on its length."""
        with self._database.writing() as db:
            db.execute(
                "INSERT INTO pieces (message, text, token_ids, measures, thought) "
                "VALUES (?, ?, ?, ?, ?)",
                (message, text, _packed(token_ids), measures, thought),
            )

    def finish(self, node: Node) -> None:
        """Keep a reply as it has become."""
        with self._database.writing() as db:
            _finish(db, node)

    def discard(self, node: Node) -> None:
        """Forget a reply that came to nothing."""
        with self._database.writing() as db:
            _discard(db, node)

    def select(self, chat: str, leaf: str | None) -> None:
        """Remember which branch is being read."""
        with self._database.writing() as db:
            db.execute("UPDATE chats SET leaf = ? WHERE id = ?", (leaf, chat))

    def delete(self, message: str) -> str:
        """Take out a message and all that follows; returns what `undelete` undoes it by."""
        deletion = new_id()
        with self._database.writing() as db:
            db.execute(
                f"""{_FOLLOWING.format("id = ?")} UPDATE messages SET deleted = ?
                WHERE deleted IS NULL AND id IN following""",
                (message, deletion),
            )
        return deletion

    def undelete(self, deletion: str) -> None:
        """Undo a deletion; under a message that is itself deleted, it joins that deletion."""
        with self._database.writing() as db:
            db.execute(
                """UPDATE messages SET deleted = (
                    SELECT above.deleted FROM messages top JOIN messages above
                    ON above.id = top.parent AND above.deleted IS NOT top.deleted
                    WHERE top.deleted = ?1
                ) WHERE deleted = ?1""",
                (deletion,),
            )


def history_file() -> Path:
    """Where the user's chats are."""
    return data_folder() / "chats.sqlite"


def is_removed(chat: str) -> bool:
    """Whether a chat is not, or no more, among the user's; for a process that only asks. No where
    nothing was ever stored."""
    path = history_file()
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return db.execute(_THERE, (chat,)).fetchone() is None
    except sqlite3.Error:
        return True  # and nothing is to be kept of what may be removed


def title_of(text: str) -> str:
    """A title made from a text: its first line, cut at a word where it is long."""
    lines = (_SPACE.sub(" ", line).split() for line in text.splitlines())
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


# -- opening --------------------------------------------------------------------------------------


def _opened(path: Path | None, *, unkept: bool = False) -> Database:
    """The file with all in order. Raises DamagedError, UsageError, NotUsableError."""
    database = Database(path, unkept=unkept)
    try:
        _end_abandoned(database)
        _purge(database, path, time.time() - KEPT_S)
    except BaseException:
        database.close()
        raise
    return database


def _end_abandoned(database: Database) -> None:
    """Make replies whose writer is gone interrupted ones; those without text go."""
    growing = f"SELECT {_COLUMNS}, writer FROM messages WHERE writer IS NOT NULL"
    with database.reading() as db:
        if not db.execute(growing).fetchone():
            return
    with database.writing() as db:  # and read again, for another process may do the same
        for *row, writer in db.execute(growing).fetchall():
            if is_alive(writer):
                continue
            try:
                node = _grown(db, _node(*row))
            except _UNREADABLE:
                continue  # which `load` tells of
            if node.message.text or node.thought.text:
                _finish(db, replace(node, ending=Ending("interrupted")))
            else:
                _discard(db, node)


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
        chats = db.execute(f"SELECT DISTINCT chat FROM messages WHERE {old}", moment).fetchall()
        db.execute(f"DELETE FROM chats WHERE {old}", moment)
        db.execute(f"{_FOLLOWING.format(old)} DELETE FROM messages WHERE id IN following", moment)
        db.execute("DELETE FROM chats WHERE id NOT IN (SELECT chat FROM messages)")
        db.execute("DELETE FROM drafts WHERE chat NOT IN (SELECT id FROM chats) AND chat <> ''")
    if path:  # what is kept of those chats may tell what was removed
        forget(path.parent / KEPT, [chat for (chat,) in chats])


# -- statements -----------------------------------------------------------------------------------

_SUMMARIES = """
    SELECT id, title, changed,
        (SELECT count(*) FROM messages WHERE chat = chats.id AND deleted IS NULL)
    FROM chats WHERE deleted IS NULL
        AND EXISTS (SELECT 1 FROM messages WHERE chat = chats.id AND deleted IS NULL)
"""
_THERE = "SELECT 1 FROM chats WHERE id = ? AND deleted IS NULL"
_COLUMNS = "id, parent, role, text, origin, ending, token_ids, measures, thought, thought_ids"
_FOLLOWING = """
    WITH RECURSIVE following (id) AS (
        SELECT id FROM messages WHERE {}
        UNION SELECT m.id FROM messages m JOIN following f ON m.parent = f.id
    )
"""
_ANCESTORS = """
    WITH RECURSIVE ancestors (id) AS (
        SELECT ? UNION SELECT m.parent FROM messages m JOIN ancestors a ON m.id = a.id
    )
"""
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


# -- rows -----------------------------------------------------------------------------------------


def _insert(db: sqlite3.Connection, chat: str, node: Node, writer: str | None = None) -> None:
    ending = node.ending
    if node.origin and not ending and not writer:  # copied while it was being written
        ending = Ending("interrupted")
    db.execute(
        f"INSERT INTO messages ({_COLUMNS}, chat, writer) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            node.id,
            node.parent,
            node.message.role,
            node.message.text,
            _encoded(node.origin),
            _encoded(ending),
            _packed(node.message.token_ids),
            node.measures,
            node.thought.text,
            _packed(node.thought.token_ids),
            chat,
            writer,
        ),
    )


def _finish(db: sqlite3.Connection, node: Node) -> None:
    message = node.message
    done = db.execute(
        """UPDATE messages SET text = ?, token_ids = ?, measures = ?, thought = ?,
        thought_ids = ?, ending = ?, writer = NULL WHERE id = ?""",
        (
            message.text,
            _packed(message.token_ids),
            node.measures,
            node.thought.text,
            _packed(node.thought.token_ids),
            _encoded(node.ending),
            node.id,
        ),
    )
    if not done.rowcount:
        raise removed_meanwhile()
    db.execute("DELETE FROM pieces WHERE message = ?", (node.id,))


def _discard(db: sqlite3.Connection, node: Node) -> None:
    db.execute("DELETE FROM messages WHERE id = ?", (node.id,))
    db.execute("UPDATE chats SET leaf = ? WHERE leaf = ?", (node.parent, node.id))


def _grown(db: sqlite3.Connection, node: Node) -> Node:
    """A growing reply with the pieces that were kept of it."""
    rows = db.execute(
        "SELECT text, token_ids, measures, thought FROM pieces WHERE message = ? ORDER BY number",
        (node.id,),
    ).fetchall()
    if not rows:
        return node
    text, token_ids, measures, thought = zip(*rows, strict=True)
    ids, packed = _unpacked(b"".join(token_ids)), b"".join(measures)
    return node.grown("".join(text), ids, packed, "".join(thought))


def _node(
    name: str,
    parent: str | None,
    role: Role,
    text: str,
    origin: bytes | None,
    ending: bytes | None,
    token_ids: bytes,
    measures: bytes,
    thought: str,
    thought_ids: bytes,
) -> Node:
    return Node(
        name,
        parent,
        Message(role, text, _unpacked(token_ids)),
        msgspec.msgpack.decode(origin, type=Origin) if origin else None,
        msgspec.msgpack.decode(ending, type=Ending) if ending else None,
        measures,
        Thought(thought, _unpacked(thought_ids)) if thought or thought_ids else NO_THOUGHT,
    )


def _encoded(struct_: Origin | Ending | None) -> bytes | None:
    return None if struct_ is None else msgspec.msgpack.encode(struct_)


def _packed(token_ids: Sequence[int]) -> bytes:
    """Four bytes for each token, little endian."""
    return struct.pack(f"<{len(token_ids)}i", *token_ids)


def _unpacked(token_ids: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(token_ids) // 4}i", token_ids)


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
