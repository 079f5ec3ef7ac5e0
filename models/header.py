"""The header of a GGUF file, read in Python before native code gets to see the file.

A path goes in; metadata and the tensors' places come out, or NotUsableError with one sentence. The
checks are those of llama.cpp's own reader and a few more, since a file from outside may lie about
every count, length and offset: whatever a header claims, reading it takes bounded time and memory.
What a model is and whether one can chat with it is not known here. It is longer than most files,
since what one header says is checked in one place.

The layout (all numbers little endian, strings preceded by their length as uint64):
    "GGUF", uint32 version, uint64 tensor count, uint64 metadata count,
    metadata: key, uint32 value type, value (of an array: uint32 item type, uint64 count, items),
    tensors:  name, uint32 dimensions, uint64 each, uint32 type, uint64 offset in the data,
    padding to the alignment, then the data of the tensors in order, each padded likewise.
"""

from __future__ import annotations

import math
import reprlib
import stat
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from amulet_local.errors import NotUsableError, cause
from amulet_local.runtime.llama.build import Type, knows_type, types
from models.gguf_constants import (
    GGML_QUANT_SIZES,
    GGUF_DEFAULT_ALIGNMENT,
    GGUF_VERSION,
    GGMLQuantizationType,
    GGUFValueType,
    Keys,
)
from models.reader import Reader

MAGIC = b"GGUF"
OLDEST_VERSION = 2

# Far above any real model (one with 262,144 tokens has some 16 MiB of header), and low enough for
# the most hostile header to be done with in a few seconds and some hundred MB.
LARGEST_HEADER = 64 * 1024 * 1024
MOST_ENTRIES = 1 << 17
MOST_TOKENS = 1 << 20
MOST_DIMENSIONS = 4
MOST_TYPES = 1023  # llama.cpp has some forty, its descendants some hundreds
LONGEST_TENSOR_NAME = 63
# Far above any real model too, and low enough for sums over all tensors, and over all files of a
# model, to be numbers that messages can carry.
LARGEST_FILE = 1 << 43  # bytes
MOST_ELEMENTS = 1 << 43

_SENTENCEPIECE = "llama"  # the kind of tokens that Llama's first tokenizer has

# Longer arrays are the tokenizer's; everything per layer is shorter.
MOST_KEPT_ITEMS = 1024

_NUMBERS = {
    GGUFValueType.UINT8: "B",
    GGUFValueType.INT8: "b",
    GGUFValueType.UINT16: "H",
    GGUFValueType.INT16: "h",
    GGUFValueType.UINT32: "I",
    GGUFValueType.INT32: "i",
    GGUFValueType.UINT64: "Q",
    GGUFValueType.INT64: "q",
    GGUFValueType.FLOAT32: "f",
    GGUFValueType.FLOAT64: "d",
    GGUFValueType.BOOL: "?",
}
_TYPES = {kind.value: kind for kind in GGMLQuantizationType}
_PLACES = [struct.Struct(f"<{n}QIQ") for n in range(MOST_DIMENSIONS + 1)]


@dataclass(frozen=True)
class Omitted:
    """An array of strings, or a long one of numbers: only how many items it has, and where in the
    file they begin."""

    count: int
    at: int = field(default=0, compare=False)


Number = int | float | bool
Value = Number | str | tuple[Number, ...] | Omitted


class Tensor(NamedTuple):
    """Where a tensor lies: offset from the start of the data, size; both in bytes.

    shape: elements along each dimension, the one contiguous in memory first.
    """

    name: str
    type: GGMLQuantizationType | Type
    shape: tuple[int, ...]
    offset: int
    size: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself; text in it is as untrusted as the file.

    data_offset, file_size: in bytes. The data of every tensor lies within the file.
    """

    path: Path
    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int
    file_size: int


def read_header(path: Path, *, compare_tokens: bool = True) -> Header:
    """Read and check the header of a GGUF file.

    A vocabulary of 49,152 tokens takes 20 ms, or 3 ms where its tokens need not be compared: for
    files that are only looked at. llama.cpp ends the process where a token comes twice.

    Raises NotUsableError where the file is missing, is no regular file, is not GGUF, is cut
    short, or has a header that contradicts itself.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise NotUsableError(f"{path} is a folder; choose a GGUF file in it.")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait forever
            raise NotUsableError(f"{path} is not a regular file; choose a GGUF file.")
        if status.st_size > LARGEST_FILE:
            raise NotUsableError(
                f"{path} is larger than any model ({status.st_size:,} bytes); choose another file."
            )
        with path.open("rb", buffering=0) as file:
            return _Parser(path, file, status.st_size, compare_tokens).header()
    except FileNotFoundError:
        raise NotUsableError(
            f"there is no file {path}; check the path, or list models with: amulet models"
        ) from None
    except (OSError, ValueError) as error:
        reason = cause(error) if isinstance(error, OSError) else error
        raise NotUsableError(f"{path} cannot be read ({reason}); choose another file.") from None


def read_string(header: Header, strings: Omitted, index: int) -> str:
    """One of an array of strings that the header has; "" where there is no such one.

    Raises NotUsableError where the file has changed since.
    """
    if not 0 <= index < strings.count:
        return ""
    try:
        with header.path.open("rb", buffering=0) as file:
            file.seek(strings.at)
            reader = Reader(header.path, file, header.file_size, LARGEST_HEADER)
            deque(reader.strings(index), maxlen=0)
            return reader.take(reader.u64()).decode("utf-8", "replace")
    except OSError as error:
        raise NotUsableError(f"{header.path} cannot be read ({cause(error)}).") from None


class _Parser:
    """Walks through a header, front to back, reading only as far as needed."""

    def __init__(self, path: Path, file: FileIO, file_size: int, compare_tokens: bool) -> None:
        self._path = path
        self._file_size = file_size
        self._compare_tokens = compare_tokens
        self._tokens: set[bytes] = set()  # where they are compared
        self._reader = Reader(path, file, file_size, LARGEST_HEADER)

    def header(self) -> Header:
        version = self._preamble()
        tensor_count = self._count("tensors")
        metadata = self._metadata(self._count("metadata entries"))
        if self._tokens and metadata.get(Keys.Tokenizer.MODEL) == _SENTENCEPIECE:
            self._check_bytes()
        alignment = metadata.get(Keys.General.ALIGNMENT, GGUF_DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            self._reader.damaged(f"its alignment is {alignment!r}, not a power of two")
        tensors = self._tensors(tensor_count, alignment)
        header_size = self._reader.position
        data_offset = _padded(header_size, alignment)
        if tensors:
            if any(self._reader.take(data_offset - header_size)):  # padding is zeros
                self._reader.damaged("it runs on past the start of the data")
            end = data_offset + tensors[-1].offset + tensors[-1].size
            if end > self._file_size:
                raise NotUsableError(
                    f"{self._path} is cut short: {end - self._file_size:,} of its {end:,} bytes "
                    "are missing; fetch or copy it again."
                )
        return Header(self._path, version, metadata, tensors, data_offset, self._file_size)

    # -- the parts of a header, in order ----------------------------------------------------------

    def _preamble(self) -> int:
        if not self._file_size:
            raise NotUsableError(f"{self._path} is empty; fetch or copy it again.")
        start = self._reader.take(min(len(MAGIC), self._file_size))
        if start != MAGIC:
            raise NotUsableError(
                f"{self._path} is not a GGUF file (it begins with {start!r}, not {MAGIC!r}); "
                "choose a model in GGUF format, or fetch it again."
            )
        version = self._reader.u32()
        if version and not version & 0xFFFF:
            raise NotUsableError(
                f"{self._path} is a GGUF file for big-endian machines; choose a little-endian file."
            )
        if not OLDEST_VERSION <= version <= GGUF_VERSION:
            raise NotUsableError(
                f"{self._path} says it is GGUF version {version}, but only versions "
                f"{OLDEST_VERSION} to {GGUF_VERSION} can be read; fetch it again, or choose "
                "another file."
            )
        return version

    def _metadata(self, count: int) -> dict[str, Value]:
        metadata: dict[str, Value] = {}
        for _ in range(count):
            key = self._name("metadata key")
            if key in metadata:
                self._reader.damaged(f"metadata key {reprlib.repr(key)} appears twice")
            metadata[key] = self._value(key, self._reader.u32())
        return metadata

    def _value(self, key: str, kind: int) -> Value:
        if kind == GGUFValueType.STRING:
            return self._reader.take(self._reader.u64()).decode("utf-8", "replace")
        if kind == GGUFValueType.ARRAY:
            return self._array(key, self._reader.u32(), self._reader.u64())
        (value,) = self._numbers(key, kind, 1)
        return value

    def _array(self, key: str, kind: int, count: int) -> tuple[Number, ...] | Omitted:
        omitted = Omitted(count, self._reader.position)
        if kind == GGUFValueType.STRING:
            if key == Keys.Tokenizer.LIST:
                self._check_tokens(count)
            else:
                self._reader.skip_strings(count)
            return omitted
        if count > MOST_KEPT_ITEMS:
            self._reader.skip(count * struct.calcsize("<" + self._format(key, kind)))
            return omitted
        return self._numbers(key, kind, count)

    def _check_tokens(self, count: int) -> None:
        """llama.cpp ends the process where a token comes twice."""
        if count > MOST_TOKENS:
            self._reader.damaged(f"it claims {count:,} tokens")
        if not self._compare_tokens:
            self._reader.skip_strings(count)
            return
        for number, place in enumerate(self._reader.strings(count)):
            token = bytes(self._reader.data[place])
            if b"\0" in token:  # where it ends for llama.cpp
                token = token[: token.index(b"\0")]
            token = token or b"[EMPTY_%d]" % number  # as llama.cpp calls it
            if token in self._tokens:
                self._reader.damaged(f"token {reprlib.repr(token)} appears twice")
            self._tokens.add(token)

    def _check_bytes(self) -> None:
        """llama.cpp ends the process over a character that has neither a token nor tokens for its
        bytes."""
        for byte in range(256):
            if b"<0x%02X>" % byte not in self._tokens and bytes([byte]) not in self._tokens:
                self._reader.damaged(f"its vocabulary has no token for the byte 0x{byte:02X}")

    def _tensors(self, count: int, alignment: int) -> tuple[Tensor, ...]:
        """llama.cpp wants every tensor where the ones before it end, so a gap is damage too."""
        tensors: dict[str, Tensor] = {}
        expected = 0
        for _ in range(count):
            tensor = self._tensor()
            if tensor.name in tensors:
                self._reader.damaged(f"tensor {tensor.name!r} appears twice")
            if tensor.offset != expected:
                self._reader.damaged(
                    f"tensor {tensor.name!r} is at {tensor.offset:,}, expected at {expected:,}"
                )
            tensors[tensor.name] = tensor
            expected = _padded(expected + tensor.size, alignment)
        return tuple(tensors.values())

    def _tensor(self) -> Tensor:
        name = self._name("tensor name", LONGEST_TENSOR_NAME)
        dimensions = self._reader.u32()
        if dimensions > MOST_DIMENSIONS:
            self._reader.damaged(f"tensor {name!r} has {dimensions:,} dimensions")
        form = _PLACES[dimensions]
        *shape, kind, offset = form.unpack_from(self._reader.data, self._reader.advance(form.size))
        type_, block, block_size = self._type(name, kind)
        elements = math.prod(shape)
        if not 0 < elements <= MOST_ELEMENTS or max(shape, default=1) > MOST_ELEMENTS:
            self._reader.damaged(f"tensor {name!r} has the shape {_written(shape)}")
        row = shape[0] if shape else 1
        if row % block:
            self._reader.damaged(f"tensor {name!r} has rows of {row:,} in blocks of {block}")
        return Tensor(name, type_, tuple(shape), offset, elements // block * block_size)

    def _type(self, name: str, kind: int) -> tuple[GGMLQuantizationType | Type, int, int]:
        """A tensor's type, the numbers in a block of it, and its bytes."""
        type_ = _TYPES.get(kind)
        if type_ is not None and knows_type(type_.name):
            return (type_, *GGML_QUANT_SIZES[type_])
        if kind > MOST_TYPES:
            self._reader.damaged(f"tensor {name!r} has the unknown type {kind}")
        there = types().get(kind) if type_ is None else None
        if there and there.block:
            return there, there.block, there.size
        if there:
            raise NotUsableError(
                f"{self._path} is too old for this llama.cpp: its tensor {name!r} has type {kind}"
                ", which is no longer supported; fetch the model in another type."
            )
        raise NotUsableError(
            f"{self._path} needs a newer llama.cpp: its tensor {name!r} has type {kind}, which "
            "the installed one does not support; update Amulet, or fetch the model in another type."
        )

    # -- the pieces they are made of --------------------------------------------------------------

    def _count(self, what: str) -> int:
        count = self._reader.u64()
        if count > MOST_ENTRIES:
            self._reader.damaged(f"it claims {count:,} {what}")
        return count

    def _name(self, what: str, longest: int = 0xFFFF) -> str:
        length = self._reader.u64()
        if not 0 < length <= longest:
            self._reader.damaged(f"a {what} is {length:,} bytes long")
        try:
            return self._reader.take(length).decode()
        except UnicodeDecodeError:
            self._reader.damaged(f"a {what} is not text")

    def _numbers(self, key: str, kind: int, count: int) -> tuple[Number, ...]:
        form = struct.Struct(f"<{count}{self._format(key, kind)}")
        return form.unpack_from(self._reader.data, self._reader.advance(form.size))

    def _format(self, key: str, kind: int) -> str:
        """Arrays of arrays end up here too: no model has them, and llama.cpp refuses them."""
        if kind not in _NUMBERS:
            self._reader.damaged(f"metadata key {reprlib.repr(key)} has the unknown type {kind}")
        return _NUMBERS[GGUFValueType(kind)]


def _padded(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) // alignment * alignment


def _written(shape: Sequence[int]) -> str:
    return " x ".join(f"{length:,}" for length in shape)
