"""The files of evaluated chats, which hold every word of them as tokens: they go with their chats.

One `CHAT.kv` a chat in the folder `kept`, beside the file of the chats. While it is written it is
called `CHAT.WRITER.part`; what a process that is gone has left of those is cleared away. What
cannot be removed now goes at the next start, since each begins by looking for such files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from amulet_local.settings import data_folder
from amulet_local.system.process_ids import is_alive, this_process

KEPT = "kept"


def kept_folder() -> Path:
    """Where they lie."""
    return data_folder() / KEPT


def kept_file(chat: str) -> Path:
    """Of a chat, by its id."""
    return kept_folder() / f"{chat}.kv"


def part_of(file: Path) -> Path:
    """What a file is called while this process writes it."""
    return file.with_suffix(f".{this_process()}.part")


def forget(folder: Path, chats: Iterable[str]) -> None:
    """Remove all that is kept of these chats."""
    for chat in chats:
        for file in (folder / f"{chat}.kv", *folder.glob(f"{chat}.*.part")):
            _remove(file)


def clear_remnants(folder: Path) -> None:
    """Remove what processes that are gone were writing."""
    for part in folder.glob("*.part"):
        _chat, _, writer = part.name.removesuffix(".part").partition(".")
        if not is_alive(writer):
            _remove(part)


def clear_all_but(folder: Path, is_there: Callable[[str], bool]) -> None:
    """Remove remnants, and what is kept of chats that are not there any more."""
    clear_remnants(folder)
    for file in folder.glob("*.kv"):
        if not is_there(file.stem):
            _remove(file)


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink(missing_ok=True)
