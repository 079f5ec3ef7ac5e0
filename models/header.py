"""The header of a GGUF file, read in Python before native code gets to see the file.

A path goes in; metadata and the tensors' places come out, or NotUsableError with one sentence. The
checks are those of llama.cpp's own reader and a few more, since a file from outside may lie about
every count, length and offset: whatever a header claims, reading it takes bounded time and memory.
What a model is and whether one can chat with it is not known here.

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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

import numpy as np
from gguf.constants import (
    GGML_QUANT_SIZES,
    GGUF_DEFAULT_ALIGNMENT,
    GGUF_VERSION,
    GGMLQuantizationType,
    GGUFValueType,
    Keys,
)

from amulet_local.errors import NotUsableError

MAGIC = b"GGUF"
OLDEST_VERSION = 2

# Far above any real model (one with 262,144 tokens has some 16 MiB of header), and low enough for
# the most hostile header to be done with in a few seconds and some hundred MB.
LARGEST_HEADER = 64 * 1024 * 1024
MOST_ENTRIES = 1 << 17
MOST_TOKENS = 1 << 20
MOST_DIMENSIONS = 4
LONGEST_TENSOR_NAME = 63

# Longer arrays are the tokenizer's; everything per layer is shorter.
MOST_KEPT_ITEMS = 1024

_WINDOW = 1 << 16  # bytes of strings passed over at once
_READ = 1 << 18  # bytes read at a time
_FEW = 256
_FIRST_BIT = np.array([8 - bits.bit_length() for bits in range(256)])

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
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


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
    type: GGMLQuantizationType
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

    A vocabulary of 49,152 tokens takes 20 ms, or 5 ms where its tokens need not be compared: for
    files that are only looked at. llama.cpp ends the process where a token comes twice.

    Raises NotUsableError where the file is missing, is no regular file, is not GGUF, is cut
    short, or has a header that contradicts itself.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise NotUsableError(f"{path} is a folder; name a GGUF file in it.")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait forever
            raise NotUsableError(f"{path} is not a regular file; name a GGUF file.")
        with path.open("rb") as file:
            return _Parser(path, file, status.st_size, compare_tokens).header()
    except FileNotFoundError:
        raise NotUsableError(
            f"there is no file {path}; check the path, or see what is here with: amulet models"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NotUsableError(f"{path} cannot be read ({reason}); choose another file.") from None


def read_string(header: Header, strings: Omitted, index: int) -> str:
    """One of an array of strings that the header has; "" where there is no such one.

    Raises NotUsableError where the file has changed since.
    """
    if not 0 <= index < strings.count:
        return ""
    try:
        with header.path.open("rb") as file:
            file.seek(strings.at)
            return _Parser(header.path, file, header.file_size, False).string(index)
    except OSError as error:
        raise NotUsableError(f"{header.path} cannot be read ({error.strerror}).") from None


class _Parser:
    """Walks through a header, front to back, reading only as far as needed.

    It reads instead of mapping the file: a mapped file that shrinks or cannot be read meanwhile
    kills the process.
    """

    def __init__(self, path: Path, file: BinaryIO, file_size: int, compare_tokens: bool) -> None:
        self._path = path
        self._file = file
        self._file_size = file_size
        self._compare_tokens = compare_tokens
        self._data = bytearray()  # from `_passed` on, as far as it was read
        self._passed = 0
        self._at = 0  # in `_data`

    def header(self) -> Header:
        version = self._preamble()
        tensor_count = self._count("tensors")
        metadata = self._metadata(self._count("metadata entries"))
        alignment = metadata.get(Keys.General.ALIGNMENT, GGUF_DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            self._damaged(f"its alignment is {alignment!r}, not a power of two")
        tensors = self._tensors(tensor_count, alignment)
        header_size = self._passed + self._at
        data_offset = _padded(header_size, alignment)
        if tensors:
            if any(self._bytes(data_offset - header_size)):  # padding is zeros
                self._damaged("it goes on where the data should begin")
            end = data_offset + tensors[-1].offset + tensors[-1].size
            if end > self._file_size:
                raise NotUsableError(
                    f"{self._path} is cut short: {end - self._file_size:,} of its {end:,} bytes "
                    "are missing; fetch or copy it again."
                )
        return Header(self._path, version, metadata, tensors, data_offset, self._file_size)

    def string(self, index: int) -> str:
        """One of the strings that begin here."""
        deque(self._strings(index), maxlen=0)
        return self._bytes(self._u64()).decode("utf-8", "replace")

    # -- the parts of a header, in order ----------------------------------------------------------

    def _preamble(self) -> int:
        if not self._file_size:
            raise NotUsableError(f"{self._path} is empty; fetch or copy it again.")
        start = self._bytes(min(len(MAGIC), self._file_size))
        if start != MAGIC:
            raise NotUsableError(
                f"{self._path} is not a GGUF file (it begins with {start!r}, not {MAGIC!r}); "
                "choose a model in GGUF format, or fetch it again."
            )
        version = self._u32()
        if version and not version & 0xFFFF:
            raise NotUsableError(
                f"{self._path} is a GGUF file for big-endian machines; choose a little-endian one."
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
                self._damaged(f"metadata key {reprlib.repr(key)} comes twice")
            metadata[key] = self._value(key, self._u32())
        return metadata

    def _value(self, key: str, kind: int) -> Value:
        if kind == GGUFValueType.STRING:
            return self._bytes(self._u64()).decode("utf-8", "replace")
        if kind == GGUFValueType.ARRAY:
            return self._array(key, self._u32(), self._u64())
        (value,) = self._numbers(key, kind, 1)
        return value

    def _array(self, key: str, kind: int, count: int) -> tuple[Number, ...] | Omitted:
        omitted = Omitted(count, self._passed + self._at)
        if kind == GGUFValueType.STRING:
            if key == Keys.Tokenizer.LIST:
                self._check_tokens(count)
            else:
                self._pass_over(count)
            return omitted
        if count > MOST_KEPT_ITEMS:
            self._advance(count * struct.calcsize("<" + self._format(key, kind)))
            return omitted
        return self._numbers(key, kind, count)

    def _check_tokens(self, count: int) -> None:
        """llama.cpp ends the process where a token comes twice, unless it is empty."""
        if count > MOST_TOKENS:
            self._damaged(f"it claims {count:,} tokens")
        if not self._compare_tokens:
            self._pass_over(count)
            return
        seen: set[bytes] = set()
        for place in self._strings(count):
            token = bytes(self._data[place])
            if token in seen:
                self._damaged(f"token {reprlib.repr(token)} comes twice")
            if token:
                seen.add(token)

    def _tensors(self, count: int, alignment: int) -> tuple[Tensor, ...]:
        """llama.cpp wants every tensor where the ones before it end, so a gap is damage too."""
        tensors: dict[str, Tensor] = {}
        expected = 0
        for _ in range(count):
            tensor = self._tensor()
            if tensor.name in tensors:
                self._damaged(f"tensor {tensor.name!r} comes twice")
            if tensor.offset != expected:
                self._damaged(
                    f"tensor {tensor.name!r} is at {tensor.offset:,}, where {expected:,} was due"
                )
            tensors[tensor.name] = tensor
            expected = _padded(expected + tensor.size, alignment)
        return tuple(tensors.values())

    def _tensor(self) -> Tensor:
        name = self._name("tensor name", LONGEST_TENSOR_NAME)
        dimensions = self._u32()
        if dimensions > MOST_DIMENSIONS:
            self._damaged(f"tensor {name!r} has {dimensions:,} dimensions")
        form = _PLACES[dimensions]
        *shape, kind, offset = form.unpack_from(self._data, self._advance(form.size))
        type_ = _TYPES.get(kind)
        if type_ is None:
            self._damaged(f"tensor {name!r} is of the unknown type {kind}")
        block, block_size = GGML_QUANT_SIZES[type_]
        row = shape[0] if shape else 1
        if row % block:
            self._damaged(f"tensor {name!r} has rows of {row:,} in blocks of {block}")
        return Tensor(name, type_, tuple(shape), offset, math.prod(shape) // block * block_size)

    # -- the pieces they are made of --------------------------------------------------------------

    def _count(self, what: str) -> int:
        count = self._u64()
        if count > MOST_ENTRIES:
            self._damaged(f"it claims {count:,} {what}")
        return count

    def _name(self, what: str, longest: int = 0xFFFF) -> str:
        length = self._u64()
        if not 0 < length <= longest:
            self._damaged(f"a {what} is {length:,} bytes long")
        try:
            return self._bytes(length).decode()
        except UnicodeDecodeError:
            self._damaged(f"a {what} is not text")

    def _numbers(self, key: str, kind: int, count: int) -> tuple[Number, ...]:
        form = struct.Struct(f"<{count}{self._format(key, kind)}")
        return form.unpack_from(self._data, self._advance(form.size))

    def _format(self, key: str, kind: int) -> str:
        """Arrays of arrays end up here too: no model has them, and llama.cpp refuses them."""
        if kind not in _NUMBERS:
            self._damaged(f"metadata key {reprlib.repr(key)} is of the unknown type {kind}")
        return _NUMBERS[GGUFValueType(kind)]

    def _pass_over(self, count: int) -> None:
        """Pass over strings, many at a time: most of a header is the vocabulary."""
        while count:
            if len(self._data) - self._at < _WINDOW:
                self._read(_READ)
            window = memoryview(self._data)[self._at : self._at + _WINDOW]
            passed, length = _end_to_end(window, count)
            del window  # which would keep `_data` from growing
            self._at += length
            count -= passed
            if passed < _FEW:  # not what vocabularies look like
                singly = min(count, _FEW)
                deque(self._strings(singly), maxlen=0)
                count -= singly

    def _strings(self, count: int) -> Iterator[slice]:
        """Passes over strings and tells where in `_data` each one is, for the reader to look at."""
        data, length = self._data, _U64.unpack_from
        for _ in range(count):
            start = self._at + _U64.size
            if start > len(data):
                start = self._read_to(start)
            end = start + length(data, self._at)[0]
            if end > len(data):
                end = self._read_to(end)
                start = self._at + _U64.size
            self._at = end
            yield slice(start, end)

    def _u32(self) -> int:
        value: int = _U32.unpack_from(self._data, self._advance(_U32.size))[0]
        return value

    def _u64(self) -> int:
        value: int = _U64.unpack_from(self._data, self._advance(_U64.size))[0]
        return value

    def _bytes(self, length: int) -> bytes:
        start = self._advance(length)
        return bytes(self._data[start : self._at])

    def _advance(self, length: int) -> int:
        """Pass over the next bytes, which are then in `_data`; returns where they start."""
        if self._at + length > len(self._data):
            self._read_to(self._at + length)
        start = self._at
        self._at += length
        return start

    def _read_to(self, end: int) -> int:
        """Have the bytes from here to `end` in `_data`; returns where it then ends."""
        if self._passed + end > LARGEST_HEADER:
            self._damaged(f"it would be over {LARGEST_HEADER >> 20} MiB long")
        length = end - self._at
        self._read(max(end - len(self._data), _READ))
        if length > len(self._data):
            raise NotUsableError(
                f"{self._path} is cut short: it ends inside its header, after "
                f"{self._passed + len(self._data):,} bytes; fetch or copy it again."
            )
        return length

    def _read(self, size: int) -> None:
        """Have up to so many more bytes in `_data`, in place of those passed over."""
        del self._data[: self._at]
        self._passed += self._at
        self._at = 0
        most = LARGEST_HEADER - self._passed - len(self._data)
        self._data += self._file.read(min(size, most))

    def _damaged(self, defect: str) -> NoReturn:
        raise NotUsableError(
            f"{self._path} has a damaged header ({defect}); fetch or copy it again."
        )


def _end_to_end(window: memoryview, most: int) -> tuple[int, int]:
    """How many strings, at most `most`, lie end to end from the window's start, and their bytes.

    A string shorter than 256 bytes starts with its length and seven zeros. Each one's end must be
    the next place that looks so; where a long string or a zero inside a text breaks the chain, the
    count ends.
    """
    data = np.frombuffer(window, np.uint8)
    zeros = data == 0
    for shift in (1, 2, 3):  # runs of two, of four, of seven
        zeros = zeros[:-shift] & zeros[shift:]
    # Starts are nine bytes apart or more, so that of eight places one at most is looked for.
    eights = np.packbits(zeros)
    filled = np.flatnonzero(eights)
    starts = filled * 8 + _FIRST_BIT[eights[filled]] - 1
    if not starts.size or starts[0]:
        return 0, 0
    ends = starts + _U64.size + data[starts]
    broken = np.flatnonzero(ends[:-1] != starts[1:])
    count = min(most, int(broken[0]) + 1 if broken.size else starts.size)
    count -= int(ends[count - 1]) > data.size
    return count, int(ends[count - 1]) if count else 0


def _padded(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) // alignment * alignment
