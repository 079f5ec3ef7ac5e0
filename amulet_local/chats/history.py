"""All chats, kept in one SQLite file of the data folder.

Chats, messages and drafts go in, and come out as lists by day, search results and conversations.
What is removed stays for a month, so that it can be brought back. Several processes may have the
store open. chat.py keeps one chat of it in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from amulet_local.chats import erasing, listing, rows
from amulet_local.chats.cleanup import open_in_order
from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.database_errors import DamagedError, NotKeptError, removed_meanwhile
from amulet_local.chats.ids import new_id
from amulet_local.chats.listing import Summary, title_of
from amulet_local.chats.prompt_cache_files import KEPT, clear_all_but, forget, forget_all
from amulet_local.chats.repair import set_aside_of
from amulet_local.chats.search import Hit, Snippet, find_messages, mark_words
from amulet_local.chats.votes import Votes
from amulet_local.chats.wishes import join_wish
from amulet_local.errors import AmuletError, NotUsableError, UsageError
from amulet_local.settings import data_folder
from amulet_local.system.process_ids import this_process

_THERE = "SELECT 1 FROM chats WHERE id = ? AND deleted IS NULL"


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
        self._path = path
        self._kept = path.parent / KEPT if path else None
        self._writer = this_process()
        self._discarded = False  # something whose words are in the index
        try:
            self._database = open_in_order(path)
        except DamagedError:  # met on the way; the second time, the file is set aside
            self._database = open_in_order(path)
        except NotKeptError as error:
            if not unkept:
                raise
            self._database = open_in_order(path, unkept=True)
            self._database.notice = (
                f"Chats cannot be saved in {path} ({error.reason}): messages will be lost when "
                "Amulet closes."
            )
        self.votes = Votes(self._database)
        if self._kept:
            clear_all_but(self._kept, self._lists)

    @property
    def notice(self) -> str:
        """A sentence for the user if a damaged file had to be set aside, or nothing is kept; else
        empty."""
        return self._database.notice

    @property
    def set_aside(self) -> list[Path]:
        """Damaged files of chats that were set aside, beside this one."""
        return (
            [file for file in set_aside_of(self._path) if file.suffix == ".sqlite"]
            if self._path
            else []
        )

    def close(self) -> None:
        """Let go of the file."""
        if self._discarded:
            with suppress(AmuletError), self._database.writing() as db:
                erasing.merge_words(db)
        self._database.close()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    # -- finding ------------------------------------------------------------------------------

    def chats(self, limit: int = 50, after: Summary | None = None) -> list[Summary]:
        """A page of chats, the last changed first; after: the last of the page before."""
        with self._database.reading() as db:
            return listing.page(db, limit, after)

    def count(self) -> int:
        """How many chats there are."""
        with self._database.reading() as db:
            return listing.count(db)

    def find(self, name: str) -> Summary:
        """The chat whose id begins like this.

        Raises NotUsableError where there is none, UsageError where there are several.
        """
        with self._database.reading() as db:
            found = listing.begins_with(db, name, 4)
        if not found or not name:
            raise NotUsableError(
                f"no chat has an id that begins with {name!r}; list them with: amulet chats"
            )
        if len(found) > 1 and found[0].id != name:
            names = ", ".join(chat.id for chat in found[:3])
            raise UsageError(
                f"more than one chat id begins with {name!r} ({names}); type more of it."
            )
        return found[0]

    def summary(self, chat: str) -> Summary:
        """A chat as a list shows it. Raises UsageError where it was removed."""
        with self._database.reading() as db:
            found = listing.summary(db, chat)
        if not found:
            raise removed_meanwhile()
        return found

    def search(self, text: str, limit: int = 50) -> list[Hit]:
        """Messages with all of these words, the newest first; the last word may be unfinished.

        Words in quotation marks must stand together.
        """
        with self._database.reading() as db:
            return find_messages(db, text, limit)

    def marked(self, message: str, text: str) -> Snippet:
        """The whole text of a message, line by line, with marks where `search` found the words.

        Raises UsageError where the message was removed.
        """
        with self._database.reading() as db:
            return mark_words(db, message, text)

    def inputs(self, limit: int = 200) -> list[str]:
        """What the user said last, as it is typed, over all chats, the newest last."""
        with self._database.reading() as db:
            said = db.execute(
                "SELECT text, wish FROM messages WHERE role = 'user' ORDER BY number DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [join_wish(text, wish) for text, wish in reversed(said)]

    def load(self, chat: str) -> Conversation:
        """All that was said in a chat. Raises NotUsableError where it is damaged."""
        with self._database.reading() as db:
            leaf = db.execute("SELECT leaf FROM chats WHERE id = ?", (chat,)).fetchone()
            found = db.execute(
                f"SELECT {rows.COLUMNS}, writer FROM messages WHERE chat = ? AND deleted IS NULL",
                (chat,),
            ).fetchall()
            try:
                nodes = [
                    rows.grown(db, rows.node_of(*row)) if writer else rows.node_of(*row)
                    for *row, writer in found
                ]
                return Conversation(nodes, leaf[0] if leaf else None)
            except rows.UNREADABLE as error:
                raise NotUsableError(
                    f"chat {chat} is damaged and cannot be opened ({error}); if you do not "
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
                rows.insert(db, chat, node)

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

    def destroy(self, chat: str) -> bool:
        """Remove a chat for good; False where traces of it stay in the file until all other
        processes have closed it, or there is room on the disk."""
        with self._database.writing() as db:
            erasing.mark(db)
            db.execute("DELETE FROM drafts WHERE chat = ?", (chat,))
            db.execute("DELETE FROM chats WHERE id = ?", (chat,))
        self._forget(chat)
        return erasing.erase(self._database)

    def wipe(self) -> bool:
        """Remove all chats and drafts for good, with what was kept of them, and damaged files that
        were set aside; the votes, which hold no words, stay. Returns as `destroy` does."""
        with self._database.writing() as db:
            erasing.mark(db)
            for table in ("drafts", "pieces", "chats"):
                db.execute(f"DELETE FROM {table}")
        if self._path:
            forget_all(self._path.parent / KEPT)
            for file in set_aside_of(self._path):
                with suppress(OSError):
                    file.unlink(missing_ok=True)
        return erasing.erase(self._database)

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
                f"""{rows.ANCESTORS} UPDATE messages SET deleted = NULL
                WHERE deleted IS NOT NULL AND id IN ancestors""",
                (node.parent,),
            )
            rows.insert(db, chat, node, self._writer if growing else None)

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
            rows.add_piece(db, message, text, token_ids, measures, thought)

    def finish(self, node: Node) -> None:
        """Keep a reply as it has become."""
        with self._database.writing() as db:
            rows.finish(db, node)

    def discard(self, node: Node) -> None:
        """Forget a reply that came to nothing."""
        self._discarded = True
        with self._database.writing() as db:
            rows.discard(db, node)

    def select(self, chat: str, leaf: str | None) -> None:
        """Remember which branch is being read."""
        with self._database.writing() as db:
            db.execute("UPDATE chats SET leaf = ? WHERE id = ?", (leaf, chat))

    def delete(self, message: str) -> str:
        """Take out a message and all that follows; returns what `undelete` undoes it by."""
        deletion = new_id()
        with self._database.writing() as db:
            db.execute(
                f"""{rows.FOLLOWING.format("id = ?")} UPDATE messages SET deleted = ?
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
    """Whether a chat is not, or no longer, stored; for a process that only asks. False where
    nothing was ever stored."""
    path = history_file()
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return db.execute(_THERE, (chat,)).fetchone() is None
    except sqlite3.Error:
        return True  # and nothing is to be kept of what may be removed
