"""Chats whose evaluated tokens are kept on disk, so that reopening a long one starts at once.

One file a chat, the latest few, in the folder that chats/prompt_cache_files.py looks after; each
names the model it belongs to and carries a checksum (see stream_state.py). A file that does not fit
is ignored, and the chat is read anew. Nothing is kept of a chat that was removed.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from amulet_local.chats.prompt_cache_files import forget, kept_file, kept_folder
from amulet_local.chats.removal import is_removed
from amulet_local.files import RESERVE, clear_remnants, private_folder, stamp
from amulet_local.path_text import from_text
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.runtime.stream_state import restore, save
from amulet_local.system import paths

_LATEST = 8
_WORTH_KEEPING = 256  # tokens; shorter chats are read again as fast
_SAMPLE = 1 << 20


class PromptCache:
    """Moves the streams of one loaded model from chat to chat, by way of files.

    stopped: asked while a chat is being written, which is given up once it says so. forget: has
    the streams forget what is not to be kept.
    """

    def __init__(
        self,
        lockstep: Lockstep,
        model: str,
        kv_type: str,
        stopped: Callable[[], bool] = lambda: False,
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        self._lockstep, self._stopped, self._forget = lockstep, stopped, forget
        self._key = f"{_fingerprint(from_text(model))} {kv_type} {version('llama-cpp-python')}"
        self._chat = ""
        clear_remnants(paths.matching(kept_folder(), "*.part"))

    def switch(self, chat: str) -> None:
        """Keep the chat that the streams hold, and bring back this one if it was kept.

        chat: letters, digits and hyphens; "" for one that is never kept.
        """
        if chat == self._chat:
            return
        self.keep()
        self._chat = chat
        self._lockstep.activate(())  # what they hold is not this chat's
        if chat:
            restored = restore(self._lockstep, kept_file(chat), self._key)
            logging.info("%d tokens of chat %s were kept", restored, chat)

    def keep(self) -> None:
        """Keep the current chat, where that saves time; a full disk is no reason to fail."""
        self._forget()
        if not self._chat or self._lockstep.used < _WORTH_KEEPING:
            return
        if is_removed(self._chat):
            return
        try:
            kept = kept_file(self._chat)
            if not save(self._lockstep, kept, self._key, self._stopped, _has_room):
                return
            if is_removed(self._chat):  # meanwhile
                forget(kept_folder(), [self._chat])
            for stale in _oldest_first(kept_folder())[:-_LATEST]:
                stale.unlink(missing_ok=True)
        except OSError as error:
            logging.warning("chat %s was not kept (%s)", self._chat, error)


def _has_room(size: int) -> bool:
    """Whether a file of so many bytes leaves enough of the disk to others, the chats among them;
    what was kept longest ago gives way to it. Raises OSError."""
    folder = kept_folder()
    private_folder(folder)
    files = _oldest_first(folder)
    while shutil.disk_usage(folder).free - size < RESERVE:
        if not files:
            return False
        files.pop(0).unlink(missing_ok=True)
    return True


def _oldest_first(folder: Path) -> list[Path]:
    """The chats that are kept; one that another process removes meanwhile comes first."""

    def kept_at(file: Path) -> int:
        found = stamp(file)
        return found.mtime_ns if found else 0

    return sorted(paths.matching(folder, "*.kv"), key=kept_at)


def _fingerprint(model: Path) -> str:
    """Size and a hash of the file's beginning and end: gigabytes are not read for this."""
    with model.open("rb") as file:
        size = file.seek(0, 2)
        digest = hashlib.blake2b(digest_size=16)
        for start in (0, max(0, size - _SAMPLE)):
            file.seek(start)
            digest.update(file.read(_SAMPLE))
    return f"{size}-{digest.hexdigest()}"
