"""A SQLite file that several processes use at once, and what goes wrong with it.

Out comes a connection with migrated tables; every failure of SQLite becomes one sentence. A damaged
file is set aside and a new one begun; of one that cannot be written to, a copy in memory can be
used. Nothing here knows what the tables mean.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from amulet_local.chats.database_errors import is_damage, is_of, not_kept, refusal, sentence
from amulet_local.chats.migrations import NewerStoreError, migrate
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.files import private, private_folder

_PATIENCE_S = 5.0  # for another process that writes
_SMALL = 4 * 1024 * 1024  # bytes; looked through in a few milliseconds


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
            private_folder(path.parent)
            if path.exists() and not os.access(path, os.W_OK):  # which SQLite finds out later
                raise refusal(path)
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
            if not is_damage(error):
                raise
        assert self._in_use is not None
        with self._in_use.alone():
            try:
                return _checked(path)  # another process may have set it aside
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
            aside = _set_aside(path)
            self.notice = (
                f"Your chats file was damaged: it has been kept as {aside}, and a new one started."
            )
            return _checked(path)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """What goes wrong below, as errors of Amulet."""
        try:
            yield
        except NewerStoreError:
            raise NotUsableError(
                f"the chats in {self._path} were saved by a newer Amulet; update this one, or set "
                "AMULET_HOME to another folder."
            ) from None
        except sqlite3.Error as error:
            if is_damage(error) and self._path:
                with suppress(OSError):
                    _suspect(self._path).touch(mode=0o600)
            raise sentence(error, self._path) from error
        except OSError as error:
            raise not_kept(self._path, error) from None
        except UnicodeEncodeError:
            raise UsageError(
                "the text contains characters that cannot be stored; remove them and try again."
            ) from None


class _InUse:
    """Tells other processes that the file is open, so that none moves it away.

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
            if not is_of(error, sqlite3.SQLITE_BUSY):
                raise
            raise UsageError(
                f"your chats file is damaged ({self._path}); close every other Amulet and "
                "start this one again, so that it can be set aside."
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
    if isinstance(path, Path):  # SQLite gives what it puts beside a file the file's own mode
        with suppress(FileExistsError):
            os.close(private(str(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    return sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)


def _connected(path: Path | str) -> sqlite3.Connection:
    """A connection with all tables."""
    db = _connect(path)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # survives a kill; a power cut may take seconds
        db.execute("PRAGMA secure_delete = ON")  # zeros in place of what is deleted
        db.execute("PRAGMA temp_store = MEMORY")  # nothing of it in other folders
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


def set_aside_of(path: Path) -> list[Path]:
    """The damaged files that were set aside, with what SQLite had beside them, and the mark."""
    return sorted((_suspect(path), *path.parent.glob(f"{path.stem}-damaged-*")))


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
