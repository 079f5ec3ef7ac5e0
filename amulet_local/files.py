"""Files as every part of Amulet writes and knows them: whole or not at all, where there is room.

Paths go in. A file is written beside its place and put there in one step; the room on a disk is
asked for before much is written; and a stamp tells whether a file is still what it was.

What outlives a process on purpose is not written by this module: a half-fetched model, which the
next try goes on with, and the folder in which pip works. Both are cared for by `models`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from amulet_local.errors import UsageError
from amulet_local.system import paths


@contextmanager
def replacing(path: Path, part: Path | None = None) -> Iterator[Path]:
    """A path to write to, which becomes `path` in one step at the end; its folder is made.

    Where the block raises, what it wrote is removed, and what was at `path` stays. A process that
    is killed leaves `part` behind: the same name with the ending .part, unless another is given,
    which the next to write overwrites. Nothing is forced to the disk.

    Raises OSError.
    """
    part = part or path.with_suffix(".part")
    try:
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


def require_space(what: str, needed: int, folder: Path, variable: str) -> None:
    """Raises UsageError where fewer bytes are free than are needed for what is to be done.

    what: the subject of the sentence, as in "fetching tiny". variable: of the environment, which
    sets another folder. The folder must be there. Raises OSError where its disk cannot be asked.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UsageError(
            f"{what} takes {needed / 1e6:,.0f} MB in {folder}, where {free / 1e6:,.0f} MB are "
            f"free; make room, or set {variable} to another folder."
        )


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
