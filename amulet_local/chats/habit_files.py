"""The files of what models said in replies: token ids and counts, which go when all chats do.

One `MODEL.table` a model in the folder `habits`, beside the file of the chats. All of them belong
to one beginning, a file with a random name for it: a process that held a table in memory while the
chats were wiped finds another beginning, or none, and knows that its table is to be forgotten too.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from amulet_local.files import clear_remnants, read_bounded, write_whole
from amulet_local.settings import habits_folder
from amulet_local.system import paths

_LATEST = 4  # models
_BEGINNING = "beginning"
_NAME = 16  # bytes


def beginning() -> bytes:
    """The name of the beginning that all files now belong to; empty where there is none."""
    with suppress(OSError):
        return read_bounded(habits_folder() / _BEGINNING, _NAME)
    return b""


def begin() -> bytes:
    """Make a beginning where there is none; returns its name, empty where that cannot be."""
    with suppress(OSError):
        if not beginning():
            write_whole(habits_folder() / _BEGINNING, secrets.token_bytes(_NAME))
        clear_remnants(paths.matching(habits_folder(), "*.part"))
    return beginning()


def forget_oldest() -> None:
    """Keep the files of the latest few models. Raises OSError."""
    files = paths.matching(habits_folder(), "*.table")
    for stale in sorted(files, key=lambda file: -file.stat().st_mtime_ns)[_LATEST:]:
        stale.unlink(missing_ok=True)


def forget_habits(folder: Path) -> None:
    """Remove all of them: the beginning first, so that what is being written goes as well."""
    for file in (folder / _BEGINNING, *paths.matching(folder, "*")):
        with suppress(OSError):
            file.unlink(missing_ok=True)
