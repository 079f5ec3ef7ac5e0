"""A SQLite file that several processes use at once, and what goes wrong with it.

Out comes a connection with migrated tables; every failure of SQLite becomes one sentence. A damaged
file is replaced by what can be read of it (see repair.py); of one that cannot be written to, a copy
in memory can be used. Nothing here knows what the tables mean.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from amulet_local.chats import repair
from amulet_local.chats.connecting import connect, connected, prepare
from amulet_local.chats.database_errors import (
    NotKeptError,
    damage_decoded,
    is_damage,
    is_of,
    not_kept,
    refusal,
    sentence,
)
from amulet_local.chats.migrations import NewerStoreError
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.files import private_folder
from amulet_local.system import paths
from amulet_local.system.interrupts import interrupts_wait

PATIENCE_S = 5.0  # for another process that writes


class Database:
    """Connections, for any thread; those who write take turns, and so do those who read.

    path: of the file; None for a store in memory that ends with the process.
    unkept: do not write to the file, but have a copy of it in memory.
    patience: seconds that are waited for another process. apart: whoever reads waits for nobody who
    writes, and sees what is complete.
    notice: a sentence for the user where a damaged file was replaced, or cannot be read; else
    empty. kept: whether what is written outlives the process; refused: why it does not, where
    that was not meant.
    Raises NotKeptError where the file cannot be written to, UsageError where it cannot be used,
    NotUsableError where it is too new, and DamagedError where it is damaged.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        unkept: bool = False,
        patience: float | None = None,
        apart: bool = False,
    ) -> None:
        self.notice = self.refused = ""
        self.kept = path is not None and not unkept
        self._path = path
        self._in_use: _InUse | None = None
        self._file: tuple[int, int] | None = None  # by which the system knows it
        self._lock = threading.RLock()
        self._patience = PATIENCE_S if patience is None else patience
        with self._in_words():
            if path is None:
                self._db = connected(":memory:")
            elif unkept:
                self._db, self.notice = repair.copied(path)
            else:
                self._db = self._kept(path)
        self._reader, self._reading = self._db, self._lock
        if self.kept and apart and path:
            with self._in_words():
                self._reader, self._reading = connect(path, self._patience), threading.RLock()
                prepare(self._reader)

    def close(self) -> None:
        """Let go of the file."""
        with self._reading:
            if self._reader is not self._db:
                self._reader.close()
        with self._lock:
            self._db.close()
            if self._in_use:
                self._in_use.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, to look something up. Raises UsageError, DamagedError."""
        with self._reading, self._in_words():
            yield self._reader

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction, undone on any error. Raises as `reading` does."""
        with self.alone() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                raise

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """The connection that writes, outside a transaction. Raises as `reading` does."""
        with self._lock, self._in_words():
            if self._file and self._path and _known(self._path) != self._file:
                raise NotKeptError(
                    self._path,
                    "it was removed or replaced while in use",
                    "put it back, or restart Amulet to use what is there now",
                )
            yield self._db

    # -- opening ------------------------------------------------------------------------------

    def _kept(self, path: Path) -> sqlite3.Connection:
        """A connection to the file itself."""
        private_folder(path.parent)
        if paths.exists(path) and not os.access(path, os.W_OK):  # which SQLite finds out later
            raise refusal(path)
        self._in_use = _InUse(path, self._patience)
        try:
            db = self._opened(path)
        except BaseException:
            self._in_use.close()
            raise
        self._file = _known(path)
        return db

    def _opened(self, path: Path) -> sqlite3.Connection:
        """A checked connection, to a new file if need be."""
        try:
            return repair.checked(path, self._patience)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
        assert self._in_use is not None
        with self._in_use.alone():
            try:
                return repair.checked(path, self._patience)  # another process may have replaced it
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
            self.notice = repair.replace(path)
            return repair.checked(path, self._patience)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """What goes wrong below, as errors of Amulet. Ctrl+C waits: raised in a function that
        SQLite calls, it would come out as an error of SQLite's, and pass for damage."""
        try:
            with interrupts_wait(), damage_decoded():
                yield
        except NewerStoreError:
            raise NotUsableError(
                f"the chats in {self._path} were saved by a newer Amulet; update this one, or set "
                "AMULET_HOME to another folder."
            ) from None
        except sqlite3.Error as error:
            if is_damage(error) and self._path:
                with suppress(OSError):
                    repair.suspect(self._path).touch(mode=0o600)
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

    def __init__(self, path: Path, patience: float) -> None:
        self._path = path
        self._lock = connect(path.with_suffix(".lock"), patience)
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


def _known(path: Path) -> tuple[int, int] | None:
    """By what the system knows the file at a path."""
    status = paths.status(path)
    return (status.st_dev, status.st_ino) if status else None
