"""What goes wrong with a SQLite file, as errors of Amulet that say what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from tempfile import TemporaryFile

from amulet_local.errors import AmuletError, NotUsableError, UsageError, advice, cause

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


def is_of(error: sqlite3.Error, *codes: int) -> bool:
    """Whether an error is of one of these kinds; SQLite adds details in the higher bits."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in codes


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is damaged."""
    return is_of(error, *_DAMAGE)


def sentence(error: sqlite3.Error, path: Path | None) -> AmuletError:
    """What an error means to a user."""
    if is_damage(error):
        return DamagedError(
            f"the file of your chats is damaged ({path}); start Amulet again, and it is looked "
            "into and set aside if need be."
        )
    if is_of(error, *_NOT_KEPT):
        return not_kept(path, refusal(path, error))
    if is_of(error, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return UsageError(
            f"another program keeps {path} busy; try again when it is done, or end it."
        )
    if is_of(error, sqlite3.SQLITE_CONSTRAINT):
        return removed_meanwhile()
    return UsageError(f"the chats in {path} cannot be used ({error}); fix that and try again.")


def refusal(path: Path | None, error: sqlite3.Error | None = None) -> OSError:
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
    if error and is_of(error, sqlite3.SQLITE_FULL):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if error and is_of(error, sqlite3.SQLITE_IOERR):
        return OSError(errno.EIO, str(error))
    return OSError(str(error))


def removed_meanwhile() -> UsageError:
    """What was to be added to is not there any more."""
    return UsageError("this chat was removed meanwhile by another Amulet; begin a new one.")


def not_kept(path: Path | None, error: OSError) -> NotKeptError:
    """That the system refuses to have the file written to, and why."""
    remedy = advice(error, "make that writable, or set AMULET_HOME to another folder")
    return NotKeptError(path, cause(error), remedy)
