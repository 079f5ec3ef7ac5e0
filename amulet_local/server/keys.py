"""The key that clients send: made once, kept in a file that only its owner reads."""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

from amulet_local.errors import NotUsableError, cause
from amulet_local.files import private, private_folder
from amulet_local.system import paths

_KEY = re.compile(r"[\x21-\x7e]{16,256}")
_MOST_BYTES = 1024


def read_or_make_key(path: Path) -> tuple[str, bool]:
    """The key in a file, and whether it was made just now.

    Raises NotUsableError where it is neither a file nor a pipe, there is no key in it, others may
    read it, or it cannot be kept.
    """
    key = secrets.token_urlsafe(32)
    try:
        private_folder(path.parent)
        with open(path, "x", encoding="ascii", opener=private) as file:
            file.write(f"{key}\n")
    except FileExistsError:
        return _read(path), False
    except OSError as error:
        raise NotUsableError(
            f"the key cannot be kept in {path} ({cause(error)}); name another with --key-file."
        ) from None
    return key, True


def _read(path: Path) -> str:
    """Of a pipe, such as a shell makes of `<(command)`, what its writer has to say."""
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise NotUsableError(f"{path} is not a file; name another with --key-file.")
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise NotUsableError(f"others may read the key in {path}; run: chmod 600 {path}")
        with paths.opened(path) as file:
            text = file.read(_MOST_BYTES).decode("ascii", "replace").strip()
    except OSError as error:
        raise NotUsableError(f"the key in {path} cannot be read ({cause(error)}).") from None
    if not _KEY.fullmatch(text):
        raise NotUsableError(
            f"{path} does not contain a key (one line of 16 to 256 characters, without spaces); "
            "remove it to have one created."
        )
    return text
