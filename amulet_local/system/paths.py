"""Paths as users, files and the environment name them: to look at one never raises.

Python's own functions raise where a name is too long, holds a NUL or a letter that file names here
cannot hold, lies behind a folder that may not be searched, or begins with a `~` that stands for
nobody. Whoever has a path from outside looks at it through this module. Whoever opens one catches
OSError; `usable` comes before that where there is a sentence to say.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

from amulet_local.errors import NotUsableError, UsageError

NO_HOME = (
    "no home folder was found: HOME is not set to a full path and the system does not know "
    "this user; set HOME or AMULET_HOME to the full path of a folder."
)


def expand(name: str | Path) -> Path:
    """A path with `~` or `~user` in front as that home; as it is written where there is none, which
    is what shells do."""
    path = Path(name)
    try:
        return path.expanduser()
    except (RuntimeError, ValueError, OSError):  # no such user, no home, no user's name at all
        return path


def usable(name: str | Path) -> Path:
    """A path that can be opened or made, `~` understood.

    Raises UsageError where no file on this system can have such a name, or where it leads into the
    home of nobody.
    """
    path = expand(name)
    first = path.parts[0] if len(path.parts) > 1 else ""
    if first.startswith("~") and not is_dir(first):
        raise UsageError(f"{first!r} is not a user's home folder here; give the full path.")
    try:
        unusable = b"\0" in os.fsencode(path)
    except UnicodeEncodeError:
        unusable = True
    if unusable:
        raise UsageError(
            f"{str(name)!r} contains a character not allowed in file names; choose another name."
        )
    return path


def from_environment(variable: str) -> Path | None:
    """The folder that an environment variable names, `~` understood; None where it is not set.

    Raises NotUsableError where a `~` in front stands for nobody's home: a folder of that name in
    the current one is not what is meant.
    """
    if not (value := os.environ.get(variable)):
        return None
    path = expand(value)
    if path.parts[:1] and path.parts[0].startswith("~"):
        raise NotUsableError(
            f"{variable} is {value}, but {path.parts[0]} is not a user's home folder; set it to "
            "a full path."
        )
    return path


def home() -> Path:
    """The user's home folder. Raises NotUsableError where the system knows of none."""
    folder = expand("~")
    if not folder.is_absolute():
        raise NotUsableError(NO_HOME)
    return folder


def current_folder() -> Path:
    """The folder in which Amulet was started; as a relative path once it is gone."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def status(path: str | os.PathLike[str]) -> os.stat_result | None:
    """What the system tells of the file at a path, links followed; None where it tells nothing."""
    try:
        return os.stat(path)  # noqa: PTH116 - of texts too
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether something is seen there."""
    return status(path) is not None


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is seen there."""
    found = status(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def is_dir(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is seen there."""
    found = status(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def opened(path: Path, mode: Literal["rb", "wb"] = "rb") -> BinaryIO:
    """A file to be read, or written. At a pipe the system would wait for who is at its other end:
    one that nobody writes to is empty instead, and one that nobody reads cannot be written to.
    Raises OSError."""

    def without_waiting(name: str, flags: int) -> int:
        file = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
        if hasattr(os, "O_NONBLOCK"):
            os.set_blocking(file, True)
        return file

    try:
        return open(path, mode, opener=without_waiting)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116
            raise OSError(errno.ENXIO, "nobody reads from this pipe", str(path)) from None
        raise


def matching(folder: Path, pattern: str) -> list[Path]:
    """What lies in a folder under such names (see Path.glob); nothing where it may not be looked
    into."""
    try:
        return list(folder.glob(pattern))
    except OSError:
        return []


def leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """The same of an entry of a folder, mostly without asking the system again."""
    with suppress(OSError):  # a link to itself, or into a closed folder
        return entry.is_dir()
    return False


def real(path: str | Path) -> Path:
    """A path with its links followed, as far as they can be; as it is where nothing can be."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return Path(path)
