"""What the installed build of llama.cpp can read: architectures and types of tensors.

Asked of the libraries themselves: the package gguf has lists too, but it is released apart from
them, and each knows names that the other does not. Names are looked for in the libraries' files,
which takes milliseconds and loads no native code; sizes of a type that gguf does not know are asked
of a process of its own, which hardly ever has to be started.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

from amulet_local.files import stamp
from amulet_local.system.child_processes import environment, python

_PATIENCE_S = 20.0
_SURE = b"llama"  # an architecture that every build knows


class Type(msgspec.Struct, frozen=True):
    """A type of tensors: numbers in a block, bytes of it; zeros for one that was given up."""

    name: str
    block: int
    size: int


def knows_architecture(name: str) -> bool:
    """Whether models of an architecture can be loaded, by its name being in the library; True
    where that cannot be told."""
    library = _contents("llama")
    return not _has(library, _SURE) or _has(library, name.encode())


def knows_type(name: str) -> bool:
    """The same of a type of tensors, by the name that gguf has for it."""
    library = _contents("ggml-base").lower()
    return not _has(library, b"q4_0") or _has(library, name.lower().encode())


def build_stamp() -> str:
    """What tells this build from another."""
    stamps = []
    for name in ("llama", "ggml-base"):
        for file in _files(name):
            if found := stamp(file):
                stamps.append(f"{file.name} {found.size} {found.mtime_ns}")
    return " ".join(stamps)


@cache
def types() -> dict[int, Type]:
    """All types by number, as the library has them; empty where it cannot be asked."""
    with suppress(OSError, subprocess.SubprocessError, msgspec.DecodeError):
        answer = subprocess.run(
            python("-m", "amulet_local.runtime.llama.build"),
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=True,
        )
        return msgspec.json.decode(answer.stdout, type=dict[int, Type])
    return {}


def _has(library: bytes, name: bytes) -> bool:
    """Whether a name is the end of a text in it: linkers keep one that ends another only once."""
    return name + b"\0" in library


@cache
def _contents(name: str) -> bytes:
    with suppress(OSError):
        return b"".join(file.read_bytes() for file in _files(name))
    return b""


def _files(name: str) -> list[Path]:
    """The library's file; names differ between systems."""
    package = find_spec("llama_cpp")
    folders = package.submodule_search_locations if package else None
    names = (f"lib{name}.so", f"lib{name}.dylib", f"{name}.dll", f"lib{name}.dll")
    files = (Path(folder, "lib", each) for folder in folders or () for each in names)
    return [file for file in files if file.exists()]


def main() -> None:
    """Tell the types as JSON. How many there are the binding knows; the library sets no bound."""
    import ctypes

    import llama_cpp
    from llama_cpp._ctypes_extensions import load_shared_library

    base = load_shared_library("ggml-base", Path(llama_cpp.__file__).parent / "lib")
    base.ggml_type_name.restype = ctypes.c_char_p
    base.ggml_blck_size.restype = ctypes.c_int64
    base.ggml_type_size.restype = ctypes.c_size_t
    found = {}
    for number in range(llama_cpp.GGML_TYPE_COUNT):
        block, name = base.ggml_blck_size(number), base.ggml_type_name(number) or b""
        size = base.ggml_type_size(number) if block else 0
        found[number] = Type(name.decode("utf-8", "replace").upper(), block, size)
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
