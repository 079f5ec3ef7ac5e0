"""A disk that refuses: what is told of it, and what works without it."""

from __future__ import annotations

import errno
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from amulet_local.chats import connecting, database, database_errors, repair
from amulet_local.chats.history import History, history_file
from amulet_local.errors import UsageError
from tests.chats.stores import a_closed_store, found, keep, titles


def test_a_full_disk_is_a_sentence_and_what_was_kept_stays(store: History) -> None:
    chat = keep(store, "What?")
    with store._database.reading() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UsageError, match="the disk is full"):
        keep(store, "long " * 100_000)
    assert titles(store) == ["What?"]
    with store._database.reading() as db:
        db.execute("PRAGMA max_page_count = 100000")
    keep(store, "long " * 1000, chat=chat)
    assert len(store.load(chat)) == 2


def test_a_file_that_may_only_be_read_is_a_sentence(store: History) -> None:
    with store._database.reading() as db:
        db.execute("PRAGMA query_only = ON")
    with pytest.raises(UsageError, match="make it writable, or set AMULET_HOME"):
        keep(store, "What?")


def test_a_folder_that_cannot_be_made_is_a_sentence(home: Path) -> None:
    home.write_text("a file where the folder should be")
    with pytest.raises(UsageError, match="set AMULET_HOME to another folder"):
        History(history_file())


def refuse(monkeypatch: pytest.MonkeyPatch, code: int, number: int) -> None:
    """A system that lets nothing be written to the folder of the chats: SQLite says only `code`."""
    connect, folder = connecting.connect, history_file().parent

    def refused(path: Path | str, patience: float = 0.0) -> sqlite3.Connection:
        if folder not in Path(path).parents:
            return connect(path, patience)
        error = sqlite3.OperationalError("what SQLite says")
        error.sqlite_errorcode = code
        raise error

    def asked(**_: object) -> None:
        if number:
            raise OSError(number, os.strerror(number))

    for module in (connecting, database, repair):
        monkeypatch.setattr(module, "connect", refused)
    monkeypatch.setattr(database_errors, "TemporaryFile", asked if number else TemporaryFile)


REFUSALS = [
    (sqlite3.SQLITE_FULL, errno.ENOSPC, "(the disk is full: No space left on device); free some"),
    (sqlite3.SQLITE_FULL, 0, "(the disk is full: No space left on device); free some space"),
    (sqlite3.SQLITE_IOERR_SHMSIZE, errno.ENOSPC, "(the disk is full: No space left on device);"),
    (sqlite3.SQLITE_IOERR_WRITE, errno.EDQUOT, "(Disk quota exceeded); free some space"),
    (sqlite3.SQLITE_IOERR_FSYNC, 0, "(what SQLite says); check the disk"),
    (sqlite3.SQLITE_CANTOPEN, errno.EROFS, "(Read-only file system); make it writable, or set"),
    (sqlite3.SQLITE_READONLY, errno.EACCES, "(Permission denied); make it writable, or set"),
    (sqlite3.SQLITE_CANTOPEN, errno.EMFILE, "(Too many open files); close other programs"),
    (sqlite3.SQLITE_CANTOPEN, errno.ENAMETOOLONG, "(File name too long); use a shorter name"),
]


@pytest.mark.parametrize(("code", "number", "told"), REFUSALS)
def test_why_a_store_cannot_be_written_is_what_the_system_says(
    code: int, number: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, code, number)
    with pytest.raises(UsageError) as raised:
        History(history_file())
    assert str(raised.value).startswith(f"chats cannot be saved in {history_file()} {told}")


def test_a_folder_in_place_of_the_file_is_told() -> None:
    history_file().mkdir(parents=True)
    with pytest.raises(UsageError, match=r"\(Is a directory\)"):
        History(history_file())


def test_a_file_that_may_only_be_read_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    a_closed_store()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UsageError, match=r"\(Permission denied\); make it writable"):
        History(history_file())


@pytest.mark.parametrize(("code", "number", "told"), REFUSALS)
def test_a_store_that_cannot_be_written_can_be_read_and_used_without_being_kept(
    code: int, number: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = history_file()
    with History(path) as store:
        keep(store, "What was kept?")
    before = path.read_bytes()
    refuse(monkeypatch, code, number)
    with History(path, unkept=True) as store:
        assert store.notice.startswith(f"Chats cannot be saved in {path} {told.split(';')[0]}")
        assert titles(store) == ["What was kept?"]
        keep(store, "And now?")
        assert found(store, "was kept") == ["What was kept?"]
        assert sorted(titles(store)) == ["And now?", "What was kept?"]
    assert path.read_bytes() == before


def test_what_sqlite_has_not_put_into_the_file_yet_is_read_too(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, "What is new?")
    assert history_file().with_name("chats.sqlite-wal").stat().st_size > 0
    refuse(monkeypatch, sqlite3.SQLITE_CANTOPEN, errno.EROFS)
    with History(history_file(), unkept=True) as copy:
        assert titles(copy) == ["What is new?"]


def test_where_no_store_can_be_made_chats_are_in_memory(home: Path) -> None:
    home.write_text("a file where the folder should be")
    with History(history_file(), unkept=True) as store:
        assert "(Not a directory): messages will be lost when Amulet closes." in store.notice
        assert titles(store) == []
        keep(store, "What?")
        assert titles(store) == ["What?"]


def test_a_store_that_can_be_written_is_kept_whatever_is_allowed() -> None:
    with History(history_file(), unkept=True) as store:
        keep(store, "What?")
        assert store.notice == ""
    with History(history_file()) as store:
        assert titles(store) == ["What?"]


def test_a_busy_store_is_a_sentence(store: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE_S", 0.05)
    with (
        History(history_file()) as hurried,
        store._database.writing(),
        pytest.raises(UsageError, match="another program is using"),
    ):
        keep(hurried, "What?")
    assert store.count() == 0


def test_without_a_disk_chats_are_kept_in_memory() -> None:
    with History(None) as store:
        keep(store, "What?", "That.")
        assert (titles(store), found(store, "that")) == (["What?"], ["That."])
    assert not history_file().exists()


def test_text_that_no_file_can_hold_is_a_sentence(store: History) -> None:
    with pytest.raises(UsageError, match="cannot be stored"):
        keep(store, "lone \ud800 surrogate")
    assert store.count() == 0


def test_any_thread_may_use_the_store(store: History) -> None:
    with ThreadPoolExecutor(4) as threads:
        chats = list(threads.map(lambda n: keep(store, f"Question {n}", "That."), range(40)))
    assert {chat.id for chat in store.chats(limit=50)} == set(chats)
