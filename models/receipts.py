"""Where each file in the models folder came from: one small JSON file beside them.

A receipt is written when a fetch is complete, just before its files get their names. It tells under
which name of the catalogue a file goes, and what it must be to be intact. Losing it loses no model,
but a file without one is taken for the user's own, and never replaced.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from amulet_local.files import read_json, write_whole
from amulet_local.path_text import from_text
from amulet_local.settings import models_folder
from amulet_local.system import paths

_FILE = ".receipts.json"
_MOST_BYTES = 1 << 24


class Part(msgspec.Struct, frozen=True):
    """One file; sha256 is "" where the source told none."""

    file: str
    size: int
    sha256: str = ""


class Receipt(msgspec.Struct, frozen=True):
    """One fetched model. source: what was asked for, as `amulet models pull` takes it.

    revision: of the source. entry: the model's name in the catalogue, if it is there.
    """

    source: str
    parts: tuple[Part, ...]
    revision: str = ""
    licence: str = ""
    entry: str = ""

    @property
    def path(self) -> Path:
        """The model's first file."""
        return models_folder() / from_text(self.parts[0].file)

    def is_complete(self) -> bool:
        """Whether all files are there in their sizes."""
        found = [paths.status(models_folder() / from_text(part.file)) for part in self.parts]
        sizes = [status.st_size for status in found if status]
        return sizes == [part.size for part in self.parts]


def receipts() -> tuple[Receipt, ...]:
    """Those of all models that were fetched and are still there."""
    return tuple(each for each in begun() if paths.exists(each.path))


def begun() -> tuple[Receipt, ...]:
    """Those, and of models of which a file may be there: the fetch was ended as it stored them."""
    with suppress(OSError, ValueError):
        kept = read_json(_path(), _MOST_BYTES, tuple[Receipt, ...])
        return tuple(each for each in kept if each.parts)
    return ()


def keep(receipt: Receipt) -> None:
    """Add a receipt, in place of any for the same file. Raises OSError."""
    others = (each for each in receipts() if each.path != receipt.path)
    body = msgspec.json.format(msgspec.json.encode((*others, receipt)), indent=1)
    write_whole(_path(), body)


def _path() -> Path:
    return models_folder() / _FILE
