"""Text files that a message names with @: read, checked, and put below the message.

A text goes in; the text with the files' contents comes out, or UsageError with one sentence, before
anything is sent. What a file says is a message's text like any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

from amulet_local.chats.wishes import next_fence
from amulet_local.errors import UsageError, advice, cause
from amulet_local.system import paths
from amulet_local.system.text_files import NotTextError, decode_text

_NAMED = re.compile(r"(?:^|(?<=\s))@((?:\\ |[^\s@])(?:\\ |\S)*)")
_BELOW = re.compile(r"^(.+):\n`{3,}", re.MULTILINE)  # a file's name, as it is put there
_FENCE = re.compile("`{3,}")
_BYTES_A_TOKEN = 4  # of most texts; what is larger than that does not fit for sure
_MOST_BYTES = 1 << 20  # while no model is loaded


@dataclass(frozen=True)
class Attached:
    """A message with its files. files: their names and sizes in bytes."""

    text: str
    files: tuple[tuple[str, int], ...]

    @property
    def told(self) -> str:
        """What was attached, in words; empty for nothing."""
        return ", ".join(f"{name} ({decimal(size)})" for name, size in self.files)


def attach(text: str, folder: Path, context: int) -> Attached:
    """Put the contents of the files that a text names below it.

    folder: where relative names begin. context: tokens that the model can hold; 0 if not known.
    A name of no file stays a word, and so does one in code. A file that stands below the text
    already, as in a message that is edited, is not put there again. Raises UsageError for what
    cannot be read, is no text, or is more than fits.
    """
    parts: list[str] = [text]
    files: list[tuple[str, int]] = []
    known = set(_BELOW.findall(text))
    for match in _NAMED.finditer(_without_code(text)):
        name = match[1].replace("\\ ", " ").rstrip(".,;:!?)")
        if not name:  # a mark before punctuation is no name, least of all this folder's
            continue
        path = folder / paths.expand(name)
        if not paths.is_file(path) or name in known:
            if paths.is_dir(path):
                raise UsageError(f"the folder {name} cannot be attached; choose a text file in it.")
            continue
        content, size = _read(path, name, context)
        fence = max((len(run) for run in _FENCE.findall(content)), default=2) + 1
        marks = "`" * max(3, fence)
        parts.append(f"{name}:\n{marks}{path.suffix.lstrip('.')}\n{content.rstrip()}\n{marks}")
        files.append((name, size))
        known.add(name)
    return Attached("\n\n".join(parts), tuple(files))


def _without_code(text: str) -> str:
    """A text without what stands in fences, of which the contents of files are."""
    kept, fence = list[str](), ""
    for line in text.split("\n"):
        before, fence = fence, next_fence(fence, line)
        kept.append("" if before or fence else line)
    return "\n".join(kept)


def _read(path: Path, name: str, context: int) -> tuple[str, int]:
    most = context * _BYTES_A_TOKEN or _MOST_BYTES
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
        size = path.stat().st_size
    except OSError as error:
        remedy = advice(error, "attach a file that can be read")
        raise UsageError(f"the file {name} cannot be read ({cause(error)}); {remedy}.") from None
    if len(data) > most:
        raise UsageError(
            f"the file {name} is {decimal(size)}, more than the model can hold ({decimal(most)}); "
            "attach part of it, or load the model with a larger context."
        )
    try:
        return decode_text(data), size
    except NotTextError as error:
        what = f"not {error.encoding} text" if error.encoding else "a binary file"
        raise UsageError(
            f"the file {name} is {what} ({error.place}); only text files can be attached."
        ) from None
