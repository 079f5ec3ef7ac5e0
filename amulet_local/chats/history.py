"""All chats, kept in one SQLite file of the data folder.

Chats, messages and drafts go in, and come out as lists by day, search results and conversations.
What is removed stays for a month, and can be brought back. Several processes may have it open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from amulet_local.chats import erasing, listing, rows
from amulet_local.chats.cleanup import open_store, put_in_order
from amulet_local.chats.conversation import Conversation, Node
from amulet_local.chats.database_errors import DamagedError, as_stored, removed_meanwhile
from amulet_local.chats.habit_files import forget_habits
from amulet_local.chats.ids import new_id
from amulet_local.chats.listing import Summary, title_of
from amulet_local.chats.prompt_cache_files import KEPT, clear_all_but, forget, forget_all
from amulet_local.chats.repair import set_aside_of
from amulet_local.chats.rows import Piece
from amulet_local.chats.saving import AtOnce, InTurn, Saving
from amulet_local.chats.search import Hit, Snippet, find_messages, mark_words
from amulet_local.chats.votes import Votes
from amulet_local.errors import AmuletError
from amulet_local.settings import data_folder, habits_folder
from amulet_local.system import paths
from amulet_local.system.process_ids import this_process

_UNSAVED = "chats-unsaved-"
THERE = "SELECT 1 FROM chats WHERE id = ? AND deleted IS NULL"


class History:
    """The store; usable from any thread. Close it, or use it in a `with`.

    Every method raises UsageError or NotUsableError, with one sentence, where the file cannot be
    read or written.
    """

    def __init__(self, path: Path | None, *, unkept: bool = False, in_turn: bool = False) -> None:
        """path: see `history_file`; None for a store in memory.

        unkept: where the file cannot be written to, what is in it is read, and what is added is
        gone when the process ends; `notice` tells. in_turn: save on a thread (see saving.py), for
        whoever must not wait; `news` tells how that goes. Replies that a process left unfinished
        when it ended become interrupted ones. What the engine keeps of chats that are not there any
        more is removed.
        """
        self._path = path
        self._kept = path.parent / KEPT if path else None
        self._writer = this_process()
        self._discarded = False  # something whose words are in the index
        try:
            self._open(unkept, in_turn)
        except DamagedError:  # met on the way; the second time, the file is set aside
            self._open(unkept, in_turn)
        if self._kept:
            clear_all_but(self._kept, self._lists)

    def _open(self, unkept: bool, in_turn: bool) -> None:
        self._database = open_store(self._path, unkept=unkept, in_turn=in_turn)
        self._saving: Saving = AtOnce(self._database)
        self._in_turn: InTurn | None = None
        if in_turn and self._database.kept:
            self._saving = self._in_turn = InTurn(self._database, self._give_way)
        self.votes = Votes(self._database, self._saving.save)
        try:
            put_in_order(self._database, self._path, self._saving.save)
            if not in_turn and self._database.kept and erasing.is_marked(self._database):
                erasing.erase(self._database)  # if not now, then at the next start
        except BaseException:
            self._saving.close()
            self._database.close()
            raise

    @property
    def notice(self) -> str:
        """What to tell of a damaged file, or that nothing is kept; mostly empty."""
        return self._told(": messages will be lost when Amulet closes.")

    @property
    def notice_to_readers(self) -> str:
        """The same for whoever adds nothing that could be lost."""
        return self._told(".")

    def _told(self, end: str) -> str:
        refused = self._database.refused
        return " ".join(filter(None, (refused and refused + end, self._database.notice)))

    @property
    def in_turn(self) -> bool:
        """Whether a thread saves what is given, from any thread."""
        return self._in_turn is not None

    @property
    def held_up(self) -> bool:
        """Whether something is in the way of saving just now."""
        return self._saving.held_up

    @property
    def unsaved(self) -> bool:
        """Whether what happens now is in memory alone."""
        return self._path is not None and (not self._database.kept or self._saving.held_up)

    def news(self) -> list[str]:
        """What is to be told of saving since the last time, in sentences."""
        return self._saving.news()

    @property
    def set_aside(self) -> list[Path]:
        """What holds chats beside this file: damaged ones, and chats that could not be saved."""
        if not self._path:
            return []
        damaged = [file for file in set_aside_of(self._path) if file.suffix == ".sqlite"]
        return [*damaged, *_unsaved(self._path.parent)]

    def close(self) -> str:
        """Let go of the file. Returns what could not be saved, in a sentence, or nothing."""
        lost = self._saving.close()
        if self._discarded and not lost:
            with suppress(AmuletError), self._database.writing() as db:
                erasing.merge_words(db)
        self._database.close()
        return lost

    def _give_way(self) -> None:
        """What can be found out again goes first where the disk is full."""
        if self._kept:
            forget_all(self._kept)

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
            return listing.find(db, name)

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
            return rows.inputs(db, limit)

    def load(self, chat: str) -> Conversation:
        """All that was said in a chat. Raises NotUsableError where it is damaged."""
        with self._database.reading() as db:
            return rows.conversation(db, chat)

    # -- chats --------------------------------------------------------------------------------

    def add_chat(self, chat: str, title: str, conversation: Conversation, changed: float) -> None:
        """Keep a whole chat, imported or copied; its id must be new, and those of its messages.

        changed: the time at which it is listed, in seconds since 1970.
        """

        self._saving.save(lambda db: rows.add_chat(db, chat, title, conversation, changed))

    def known(self, chat: str, messages: Iterable[str]) -> bool:
        """Whether the id of a chat, or one of these messages', is taken, if only by a removed
        one."""
        with self._database.reading() as db:
            return rows.known(db, chat, messages)

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
        def act(db: sqlite3.Connection) -> None:
            if not db.execute(f"UPDATE chats SET {change}", values).rowcount:
                raise removed_meanwhile()

        self._saving.save(act)

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
        """Remove all chats and drafts for good, with what was kept of them, and all that was set
        aside; the votes, which hold no words, stay. Returns as `destroy` does."""
        with self._database.writing() as db:
            erasing.mark(db)
            for table in ("drafts", "pieces", "chats"):
                db.execute(f"DELETE FROM {table}")
        if self._path:
            forget_all(self._path.parent / KEPT)
            forget_habits(self._path.parent / habits_folder().name)
            for file in (*set_aside_of(self._path), *_unsaved(self._path.parent)):
                with suppress(OSError):
                    file.unlink(missing_ok=True)
        return erasing.erase(self._database)

    def _forget(self, *chats: str) -> None:
        if self._kept:
            forget(self._kept, chats)

    def _lists(self, chat: str) -> bool:
        """Whether a chat is there, and not removed."""
        with self._database.reading() as db:
            return bool(db.execute(THERE, (chat,)).fetchone())

    def draft(self, chat: str = "") -> str:
        """What was typed and not sent; in a chat not begun yet, where none is named."""
        with self._database.reading() as db:
            row = db.execute("SELECT text FROM drafts WHERE chat = ?", (chat,)).fetchone()
            return as_stored(row, tuple[str])[0] if row else ""

    def save_draft(self, text: str, chat: str = "") -> None:
        """Keep what is typed; nothing, once it is sent."""

        self._saving.save(lambda db: rows.save_draft(db, text, chat), f"draft {chat}")

    # -- messages -----------------------------------------------------------------------------

    def add(self, chat: str, node: Node, *, growing: bool = False) -> None:
        """Keep a message and make it the chat's leaf; the first makes the chat, and its title.

        growing: it is a reply that `grow` will add to, and `finish` or `discard` will end.
        A chat, or an earlier message, that was removed elsewhere comes back.
        """
        writer = self._writer if growing else None
        self._saving.save(lambda db: rows.add(db, chat, node, writer))

    def grow(
        self,
        message: str,
        text: str,
        token_ids: Sequence[int],
        measures: bytes,
        thought: str = "",
    ) -> None:
        """Keep what a growing reply has more, at a cost that does not depend on its length."""
        piece = (message, text, token_ids, measures, thought)
        self._saving.save(lambda db: rows.add_piece(db, *piece))

    def grow_soon(
        self, message: str, piece: Callable[[], Piece | None], kept: Callable[[], object]
    ) -> bool:
        """Keep what a growing reply has more within a fifth of a second, at no cost to the caller;
        False where saving is not in turn, and `grow` is to be called several times a second.

        piece: is asked on another thread, when it is time, for the arguments of `grow` behind the
        message; kept: is told once these are stored.
        """
        if not self._in_turn:
            return False

        def act(db: sqlite3.Connection) -> None:
            if new := piece():
                rows.add_piece(db, message, *new)

        self._in_turn.save_soon(act, f"grow {message}", kept)
        return True

    def finish(self, node: Node) -> None:
        """Keep a reply as it has become."""
        self._saving.save(lambda db: rows.finish(db, node))

    def discard(self, node: Node) -> None:
        """Forget a reply that came to nothing."""
        self._discarded = True
        self._saving.save(lambda db: rows.discard(db, node))

    def select(self, chat: str, leaf: str | None) -> None:
        """Remember which branch is being read."""
        change = "UPDATE chats SET leaf = ? WHERE id = ?"
        self._saving.save(lambda db: db.execute(change, (leaf, chat)), f"select {chat}")

    def delete(self, message: str) -> str:
        """Take out a message and all that follows; returns what `undelete` undoes it by."""
        deletion = new_id()
        self._saving.save(lambda db: rows.delete(db, message, deletion))
        return deletion

    def undelete(self, deletion: str) -> None:
        """Undo a deletion; under a message that is itself deleted, it joins that deletion."""
        self._saving.save(lambda db: rows.undelete(db, deletion))


def history_file() -> Path:
    """Where the user's chats are."""
    return data_folder() / "chats.sqlite"


def unsaved_file(chat: str) -> Path:
    """Where a chat is kept, as an export, that could not be saved when Amulet closed."""
    return data_folder() / f"{_UNSAVED}{chat}.json"


def _unsaved(folder: Path) -> list[Path]:
    return paths.matching(folder, f"{_UNSAVED}*.json")
