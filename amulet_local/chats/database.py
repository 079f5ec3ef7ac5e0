"""A SQLite file that several processes use at once, and what goes wrong with it.

Out comes a connection with migrated tables; every failure of SQLite becomes one sentence. A damaged
file is set aside and a new one begun; of one that cannot be written to, a copy in memory can be
used. Nothing here knows what the tables mean.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory, TemporaryFile

from amulet_local.chats.migrations import NewerStoreError, migrate
from amulet_local.errors import AmuletError, NotUsableError, UsageError, advice, cause

_PATIENCE_S = 5.0  # for another process that writes
_SMALL = 4 * 1024 * 1024  # bytes; looked through in a few milliseconds
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NOT_KEPT = (
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
)
_PROBE = bytes(256 * 1024)  # more than SQLite asks for at once, to begin with


class DamagedError(NotUsableError):
    """Damage was met in the file; whoever opens it next looks closely, and sets it aside."""


class NotKeptError(UsageError):
    """The system does not let the file be written to: reason, to stand in brackets, tells why."""

    def __init__(self, path: Path | None, reason: str, remedy: str) -> None:
        super().__init__(f"chats cannot be kept in {path} ({reason}); {remedy}.")
        self.reason = reason


class Database:
    """A connection, for any thread; they take turns.

    path: of the file; None for a store in memory that ends with the process.
    unkept: do not write to the file, but have a copy of it in memory.
    notice: a sentence for the user where a damaged file was set aside, else empty.
    Raises NotKeptError where the file cannot be written to, UsageError where it cannot be used,
    NotUsableError where it is too new, and DamagedError where it is damaged.
    """

    def __init__(self, path: Path | None, *, unkept: bool = False) -> None:
        self.notice = ""
        self._path = path
        self._in_use: _InUse | None = None
        self._lock = threading.RLock()
        with self._in_words():
            if path is None:
                self._db = _connected(":memory:")
                return
            if unkept:
                self._db = _copied(path)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not os.access(path, os.W_OK):  # which SQLite finds out later
                raise _refusal(path)
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
                f"the chats in {self._path} were kept by a newer Amulet; update this one, or set "
                "AMULET_HOME to another folder."
            ) from None
        except sqlite3.Error as error:
            if _is_damage(error) and self._path:
                with suppress(OSError):
                    _suspect(self._path).touch()
            raise _sentence(error, self._path) from error
        except OSError as error:
            raise _not_kept(self._path, error) from None
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
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA foreign_keys = ON")
    migrate(db)


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


def _copied(path: Path) -> sqlite3.Connection:
    """A connection to a copy in memory of as much of a file as can be read. Raises what SQLite
    raises."""
    db = _connect(":memory:")
    try:
        if _is_there(path):
            _copy(path, db)
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _copy(path: Path, db: sqlite3.Connection) -> None:
    """Copy a file into a connection, with what SQLite has beside it and not put into it yet."""
    log = path.with_name(f"{path.name}-wal")
    if not _is_there(log):  # else the file alone would be an old state
        with closing(_read_only(path)) as source:
            return source.backup(db)
    with TemporaryDirectory() as folder:
        there = Path(folder) / path.name
        copyfile(path, there)
        copyfile(log, there.with_name(log.name))
        with closing(_connect(there)) as source:
            source.backup(db)


def _read_only(path: Path) -> sqlite3.Connection:
    """A connection that needs no file beside it."""
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(address, uri=True, isolation_level=None)


def _is_there(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


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
    if _is(error, *_NOT_KEPT):
        return _not_kept(path, _refusal(path, error))
    if _is(error, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return UsageError(
            f"another program keeps {path} busy; try again when it is done, or end it."
        )
    if _is(error, sqlite3.SQLITE_CONSTRAINT):
        return removed_meanwhile()
    return UsageError(f"the chats in {path} cannot be used ({error}); mend that and try again.")


def _refusal(path: Path | None, error: sqlite3.Error | None = None) -> OSError:
    """What the system said to SQLite, which does not pass it on: it is asked once more.

    The file itself is not opened for that: closing it would let go of SQLite's locks on it.
    """
    try:
        if path and path.is_dir():
            return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path:
            with TemporaryFile(dir=path.parent) as probe:
                probe.write(_PROBE)
                probe.flush()
                os.fsync(probe.fileno())
        if path and path.exists() and not os.access(path, os.W_OK):
            return PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as refused:
        return refused
    if error and _is(error, sqlite3.SQLITE_FULL):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if error and _is(error, sqlite3.SQLITE_IOERR):
        return OSError(errno.EIO, str(error))
    return OSError(str(error))


def removed_meanwhile() -> UsageError:
    """What was to be added to is not there any more."""
    return UsageError("this chat was removed meanwhile by another Amulet; begin a new one.")


def _not_kept(path: Path | None, error: OSError) -> NotKeptError:
    remedy = advice(error, "make that writable, or set AMULET_HOME to another folder")
    return NotKeptError(path, cause(error), remedy)
