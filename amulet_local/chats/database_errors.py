"""What goes wrong with a SQLite file, as errors of Amulet that say what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

import msgspec

from amulet_local.chats.migrations import migrate
from amulet_local.errors import FULL, AmuletError, NotUsableError, UsageError, advice, cause
from amulet_local.system import paths

Kind = TypeVar("Kind")

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
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
    """The system does not let the file be written to: reason, to stand in brackets, tells why.
    full: because there is no room on the disk."""

    def __init__(self, path: Path | None, reason: str, remedy: str, *, full: bool = False) -> None:
        super().__init__(f"chats cannot be saved in {path} ({reason}); {remedy}.")
        self.reason, self.full = reason, full


class RemovedError(UsageError):
    """What was to be added to, or something that it refers to, is not there any more."""


class BusyError(UsageError):
    """Another process writes to the file, or keeps everybody from it."""


def is_of(error: sqlite3.Error, *codes: int) -> bool:
    """Whether an error is of one of these kinds; SQLite adds details in the higher bits."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in codes


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is damaged.

    So does SQLite's general error, which tables that are not what they were bring about, unless a
    store in memory meets it too: then this SQLite lacks something.
    """
    return is_of(error, *_DAMAGE) or (is_of(error, sqlite3.SQLITE_ERROR) and _can_store())


def damage(what: str) -> sqlite3.DatabaseError:
    """An error as SQLite raises over a damaged file."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


@contextmanager
def damage_decoded() -> Iterator[None]:
    """SQLite quotes what is damaged, and Python cannot decode every quotation: that comes out of a
    `with` as any other damage does."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise damage(str(error)) from None


def as_stored(rows: object, kind: type[Kind]) -> Kind:
    """Rows, or one, as what is stored in them: SQLite lets a damaged file have any value anywhere.

    Raises sqlite3.DatabaseError where one is of another type.
    """
    try:
        return msgspec.convert(rows, kind)
    except msgspec.ValidationError as error:
        raise damage(str(error)) from None


@cache
def _can_store() -> bool:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        try:
            migrate(db)
        except sqlite3.Error:
            return False
    return True


def sentence(error: sqlite3.Error, path: Path | None) -> AmuletError:
    """What an error means to a user."""
    if is_damage(error):
        return DamagedError(
            f"your chats file is damaged ({path}); restart Amulet, which will check it "
            "and set it aside if necessary."
        )
    if is_of(error, *_NOT_KEPT):
        return not_kept(path, refusal(path, error))
    if is_of(error, *_BUSY):
        return BusyError(
            f"another program is using {path}; try again when it has finished, or close it."
        )
    if is_of(error, sqlite3.SQLITE_CONSTRAINT):
        return removed_meanwhile()
    return UsageError(f"the chats in {path} cannot be used ({error}); fix that and try again.")


def refusal(path: Path | None, error: sqlite3.Error | None = None) -> OSError:
    """What the system said to SQLite, which does not pass it on: it is asked once more.

    The file itself is not opened for that: closing it would let go of SQLite's locks on it.
    """
    try:
        if path and paths.is_dir(path):
            return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path:
            with TemporaryFile(dir=path.parent) as probe:
                probe.write(_PROBE)
                probe.flush()
                os.fsync(probe.fileno())
        if path and paths.exists(path) and not os.access(path, os.W_OK):
            return PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as refused:
        return refused
    if error and is_of(error, sqlite3.SQLITE_FULL):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if error and is_of(error, sqlite3.SQLITE_IOERR):
        return OSError(errno.EIO, str(error))
    return OSError(str(error))


def removed_meanwhile() -> RemovedError:
    """That what was to be added to is not there any more."""
    return RemovedError("this chat has been removed by another Amulet; start a new one.")


def not_kept(path: Path | None, error: OSError) -> NotKeptError:
    """That the system refuses to have the file written to, and why."""
    remedy = advice(error, "make it writable, or set AMULET_HOME to another folder")
    return NotKeptError(path, cause(error), remedy, full=error.errno in FULL)
