"""The files of evaluated chats, which hold every word of them as tokens: they go with their chats.

One `CHAT.kv` a chat in the folder `kept`, beside the file of the chats; one that is being written
is called as files.py has it. What cannot be removed now goes at the next start, since each begins
by looking for such files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from amulet_local.files import clear_remnants, parts_of
from amulet_local.settings import data_folder
from amulet_local.system import paths

KEPT = "kept"


def kept_folder() -> Path:
    """Where they lie."""
    return data_folder() / KEPT


def kept_file(chat: str) -> Path:
    """Of a chat, by its id."""
    return kept_folder() / f"{chat}.kv"


def forget(folder: Path, chats: Iterable[str]) -> None:
    """Remove all that is kept of these chats."""
    for file in (folder / f"{chat}.kv" for chat in chats):
        for each in (file, *parts_of(file)):
            _remove(each)


def forget_all(folder: Path) -> None:
    """Remove all that is kept of any chat, also what is just being written."""
    for file in paths.matching(folder, "*"):
        _remove(file)


def clear_all_but(folder: Path, is_there: Callable[[str], bool]) -> None:
    """Remove remnants, and what is kept of chats that are not there any more."""
    clear_remnants(paths.matching(folder, "*.part"))
    for file in paths.matching(folder, "*.kv"):
        if not is_there(file.stem):
            _remove(file)


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink(missing_ok=True)
