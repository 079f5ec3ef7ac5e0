"""Files as every part of Amulet writes and knows them: whole or not at all, private, where there
is room.

Paths go in. A file is written beside its place and put there in one step; the room on a disk is
asked for before much is written; and a stamp tells whether a file is still what it was. What is
written is for its user alone, as is every folder that is made for it: 0600 and 0700, which on
Windows is left to the folder of the user.

What outlives a process on purpose is not written by this module: a half-fetched model, which the
next try goes on with, and the folder in which pip works. Both are cared for by `models`.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from amulet_local.errors import UsageError
from amulet_local.system import paths
from amulet_local.system.process_ids import is_alive, this_process
from amulet_local.system.text_files import DECODER_ERRORS, decoder_reason

Kind = TypeVar("Kind")

RESERVE = 512 * 1024 * 1024
"""Bytes of a disk that are left to the chats and to others by what could do without."""

_FOLDER, _FILE, _OTHERS = 0o700, 0o600, 0o077
_LONGEST = 40  # characters of a name that its unfinished file has too
_WRITER = re.compile(r".*\.(\d+ [\d.]+)\.part", re.DOTALL)


# -- for the user alone ---------------------------------------------------------------------------


def private_folder(path: Path) -> None:
    """Make a folder that nobody else may look into, and those above it that are missing; one that
    is there stays as it is. Raises OSError."""
    if paths.is_dir(path):
        return
    try:
        path.mkdir(mode=_FOLDER)
    except FileNotFoundError:
        if paths.exists(path.parent):
            raise
        private_folder(path.parent)
        private_folder(path)
    except FileExistsError:  # another process was first
        if not paths.is_dir(path):
            raise


def private(path: str, flags: int) -> int:
    """The `opener` of a file that nobody else may read; one that is there keeps its mode."""
    return os.open(path, flags, _FILE)


def make_private(folder: Path, but: Path | None = None) -> None:
    """Take what is in a folder, and the folder, from all but its user; links are not followed.

    but: a folder in it that stays as it is. What the system does not let be changed stays too.
    """
    if os.name == "nt" or not paths.is_dir(folder):
        return
    _close(folder)
    for above, folders, names in os.walk(folder):
        if but and but.parent == Path(above):
            folders[:] = [name for name in folders if name != but.name]
        for name in folders:
            _close(Path(above, name))
        for name in names:
            _close(Path(above, name))


def is_open(path: Path) -> bool:
    """Whether others than its user may do anything with the file at a path; links are not followed,
    and on Windows that is left to the folder."""
    with suppress(OSError):
        found = path.lstat().st_mode
        return os.name != "nt" and stat.S_ISREG(found) and bool(found & _OTHERS)
    return False


def _close(path: Path) -> None:
    with suppress(OSError):
        found = path.lstat().st_mode
        if found & _OTHERS and not stat.S_ISLNK(found):
            path.chmod(stat.S_IMODE(found) & ~_OTHERS)  # and what its user closed stays closed


# -- whole or not at all --------------------------------------------------------------------------


def part_of(path: Path) -> Path:
    """What a file is called while this process writes it, beside its place."""
    return path.with_name(f"{path.name[:_LONGEST]}.{this_process()}.part")


def parts_in(folder: Path, begin: str = "") -> list[Path]:
    """What any process has written in a folder and not put in place. begin: of the names."""
    return [
        part
        for part in paths.matching(folder, "*.part")
        if part.name.startswith(begin) and _WRITER.fullmatch(part.name)
    ]


def parts_of(path: Path) -> list[Path]:
    """The same of one file."""
    return parts_in(path.parent, f"{path.name[:_LONGEST]}.")


def clear_remnants(parts: Iterable[Path]) -> None:
    """Remove what processes that are gone were writing."""
    for part in parts:
        writer = _WRITER.fullmatch(part.name)
        if not (writer and is_alive(writer[1])):
            with suppress(OSError):
                part.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path, part: Path | None = None, *, private: bool = True) -> Iterator[Path]:
    """A path to write to, which becomes `path` in one step at the end; its folder is made.

    Where the block raises, what it wrote is removed, and what was at `path` stays. A process that
    is killed leaves `part` behind, by default `part_of(path)`, for `clear_remnants`. Nothing is
    forced to the disk. private: a file for its user alone, which is there, and empty, when the
    block begins.

    Raises OSError.
    """
    part = part or part_of(path)
    try:
        if private:
            if not paths.exists(path.parent):
                private_folder(path.parent)
            os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, _FILE))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, body: bytes) -> None:
    """Put a file in place, whole or not at all. Raises OSError."""
    with replacing(path) as part:
        part.write_bytes(body)


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a file of at most so many. Raises OSError, also where there are more."""
    with paths.opened(path) as file:
        body = file.read(most + 1)
    if len(body) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return body


def read_json(path: Path, most: int, kind: type[Kind]) -> Kind:
    """What a file of at most so many bytes says in JSON. Raises OSError, and ValueError, with a
    clause, where it says nothing of this kind, whatever else it holds."""
    try:
        return msgspec.json.decode(read_bounded(path, most), type=kind)
    except DECODER_ERRORS as error:
        raise ValueError(decoder_reason(error)) from None


def write_named(path: Path, body: bytes, *, overwrite: bool) -> None:
    """Put a file in place that a user has named: whole, or what was there stays as it was.

    A link is followed; devices and pipes are written to as they are. overwrite: else there must be
    none. Raises FileExistsError, and OSError where it cannot be written; its folder must be there.
    """
    if paths.exists(path) and not paths.is_file(path):
        with paths.opened(path, "wb") as device:  # by this name: a link to an open pipe has no end
            device.write(body)
        return
    path = paths.real(path)
    path.parent.stat()
    clear_remnants(parts_of(path))
    if overwrite:
        if paths.exists(path) and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        write_whole(path, body)
        return
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE))  # so that it is ours
    try:
        write_whole(path, body)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


# -- room, and what a file was --------------------------------------------------------------------


def require_space(what: str, needed: int, folder: Path, variable: str) -> None:
    """Raises UsageError where fewer bytes are free than are needed for what is to be done.

    what: the subject of the sentence, as in "fetching tiny". variable: of the environment, which
    sets another folder. The folder must be there. Raises OSError where its disk cannot be asked.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UsageError(
            f"{what} needs {needed / 1e6:,.0f} MB in {folder}, but only {free / 1e6:,.0f} MB are "
            f"free there; make room, or set {variable} to another folder."
        )


def free_space(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be. Raises OSError where that is not told."""
    there = next(each for each in (folder, *folder.parents) if paths.is_dir(each))
    return shutil.disk_usage(there).free


class Stamp(NamedTuple):
    """By which a file is told from what it was: bytes, and nanoseconds of the last change.

    It is kept on disk, so the inode is not in it: a file that is copied or restored with its time
    is still the same file, and network folders number theirs anew.
    """

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp of a file that was looked at already."""
        return cls(status.st_size, status.st_mtime_ns)


def stamp(path: str | os.PathLike[str]) -> Stamp | None:
    """The stamp of the file at a path, links followed; None where none is seen."""
    status = paths.status(path)
    return Stamp.of(status) if status else None
