"""A SQLite file that several processes use at once, and what goes wrong with it.

Out comes a connection with migrated tables; every failure of SQLite becomes one sentence. A damaged
file is set aside and a new one begun. Nothing here knows what the tables mean.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from amulet_local.errors import AmuletError, NotUsableError, UsageError
from amulet_local.migrations import NewerStoreError, migrate

_PATIENCE_S = 5.0  # for another process that writes
_SMALL = 4 * 1024 * 1024  # bytes; looked through in a few milliseconds
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NO_ACCESS = (
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
)


class DamagedError(NotUsableError):
    """Damage was met in the file; whoever opens it next looks closely, and sets it aside."""


class Database:
    """A connection, for any thread; they take turns.

    path: of the file; None for a store in memory that ends with the process.
    notice: a sentence for the user where a damaged file was set aside, else empty.
    Raises UsageError where the file cannot be used, NotUsableError where it is too new, and
    DamagedError where it is damaged.
    """

    def __init__(self, path: Path | None) -> None:
        self.notice = ""
        self._path = path
        self._lock = threading.RLock()
        with self._in_words():
            if path is None:
                self._in_use, self._db = None, _connected(":memory:")
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            self._in_use = _InUse(path)
            try:
                self._db = self._opened(path)
            except BaseException:
                self._in_use.close()
                raise

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()
            if self._in_use:
                self._in_use.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, to look something up. Raises UsageError, DamagedError."""
        with self._lock, self._in_words():
            yield self._db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction, undone on any error. Raises as `reading` does."""
        with self._lock, self._in_words():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # -- damage -------------------------------------------------------------------------------

    def _opened(self, path: Path) -> sqlite3.Connection:
        """A checked connection, to a new file if need be."""
        try:
            return _checked(path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
        assert self._in_use is not None
        with self._in_use.alone():
            try:
                return _checked(path)  # another process may have set it aside
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
            aside = _set_aside(path)
            self.notice = (
                f"The file of your chats was damaged: it is kept as {aside}, and a new one is "
                "begun."
            )
            return _checked(path)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """What goes wrong below, as errors of Amulet."""
        try:
            yield
        except NewerStoreError:
            raise NotUsableError(
                f"the chats in {self._path} were kept by a newer Amulet; install that one again."
            ) from None
        except sqlite3.Error as error:
            if _is_damage(error) and self._path:
                with suppress(OSError):
                    _suspect(self._path).touch()
            raise _sentence(error, self._path) from error
        except OSError as error:
            raise _no_access(self._path, error.strerror or str(error)) from None
        except UnicodeEncodeError:
            raise UsageError(
                "the text has characters that no file can hold; take them out and try again."
            ) from None


class _InUse:
    """Tells other processes that the file is open, so that nobody moves it away.

    The lock is SQLite's, on an empty file beside it: it works alike on every system, and goes with
    the process however that ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = _connect(path.with_suffix(".lock"))
        self._share()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While no other process has the file open. Raises UsageError if one has."""
        self._lock.execute("ROLLBACK")
        try:
            self._lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if not _is(error, sqlite3.SQLITE_BUSY):
                raise
            raise UsageError(
                f"the file of your chats is damaged ({self._path}); close every other Amulet and "
                "start again, so that it can be set aside."
            ) from None
        yield
        self._lock.execute("ROLLBACK")
        self._share()

    def close(self) -> None:
        self._lock.close()

    def _share(self) -> None:
        self._lock.execute("BEGIN")
        self._lock.execute("SELECT * FROM sqlite_master").fetchall()


def _suspect(path: Path) -> Path:
    """The mark of a file in which damage was met; the next to open it looks closely."""
    return path.with_suffix(".suspect")


def _connect(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)


def _connected(path: Path | str) -> sqlite3.Connection:
    """A connection with all tables."""
    db = _connect(path)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # survives a kill; a power cut may take seconds
        db.execute("PRAGMA foreign_keys = ON")
        migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _checked(path: Path) -> sqlite3.Connection:
    """A connection to a file that seems sound. Raises sqlite3.DatabaseError if it is not.

    A large file is looked through only once damage was met in it: that takes its time.
    """
    mark = _suspect(path)
    db = _connected(path)
    try:
        if mark.exists() or path.stat().st_size < _SMALL:
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                damage = sqlite3.DatabaseError(found)
                damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise damage
        if mark.exists():
            db.execute("INSERT INTO found (found) VALUES ('rebuild')")  # that is not checked
            mark.unlink(missing_ok=True)
    except BaseException:
        db.close()
        raise
    return db


def _set_aside(path: Path) -> Path:
    """Rename a file, and what SQLite keeps beside it, so that its name tells when.

    The file itself goes last: cut off before that, the next start does it again, and a new file
    never meets the log of an old one.
    """
    aside = path.with_name(f"{path.stem}-damaged-{datetime.now():%Y%m%d-%H%M%S-%f}{path.suffix}")
    for end in ("-wal", "-shm", ""):
        beside = path.with_name(path.name + end)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + end))
    _suspect(path).unlink(missing_ok=True)
    return aside


# -- errors ---------------------------------------------------------------------------------------


def _is(error: sqlite3.Error, *codes: int) -> bool:
    """Whether an error is of one of these kinds; SQLite adds details in the higher bits."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in codes


def _is_damage(error: sqlite3.Error) -> bool:
    return _is(error, *_DAMAGE)


def _sentence(error: sqlite3.Error, path: Path | None) -> AmuletError:
    """What an error means to a user."""
    if _is_damage(error):
        return DamagedError(
            f"the file of your chats is damaged ({path}); start Amulet again, and it is looked "
            "into and set aside if need be."
        )
    if _is(error, sqlite3.SQLITE_FULL):
        return UsageError(
            f"the disk is full, so nothing more can be kept in {path}; free some space and try "
            "again."
        )
    if _is(error, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return UsageError(
            f"another program keeps {path} busy; try again when it is done, or end it."
        )
    if _is(error, sqlite3.SQLITE_CONSTRAINT):
        return removed_meanwhile()
    if _is(error, *_NO_ACCESS):
        return _no_access(path, str(error))
    return UsageError(f"the chats in {path} cannot be used ({error}); mend that and try again.")


def removed_meanwhile() -> UsageError:
    """What was to be added to is not there any more."""
    return UsageError("this chat was removed meanwhile by another Amulet; begin a new one.")


def _no_access(path: Path | None, reason: str) -> UsageError:
    return UsageError(
        f"chats cannot be kept in {path} ({reason}); make that writable, or set AMULET_HOME to "
        "another folder."
    )
