"""A GGUF file taken apart and put together again, so that what is wrong with it is chosen.

Bytes go in, a Model of plain lists comes out, and bytes again, whatever was put into the lists.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

STRING, ARRAY = 8, 9
FORMATS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_ALIGNMENT = 32


@dataclass
class Value:
    """kind: its number in the format; of an array, items_kind that of its items."""

    kind: int
    value: object
    items_kind: int = 0


@dataclass
class Tensor:
    """shape: the dimension that is contiguous first. claims: an offset to be told in place of the
    true one."""

    name: bytes
    shape: list[int]
    kind: int
    data: bytes
    claims: int | None = None


@dataclass
class Model:
    """A file. counts: what it says of tensors and metadata in place of the truth, if anything."""

    metadata: list[tuple[bytes, Value]] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    version: int = 3
    counts: dict[str, int] = field(default_factory=dict)

    def __bytes__(self) -> bytes:
        head = b"GGUF" + struct.pack("<I", self.version)
        head += _u64(self.counts.get("tensors", len(self.tensors)))
        head += _u64(self.counts.get("metadata", len(self.metadata)))
        for key, value in self.metadata:
            head += _string(key) + struct.pack("<I", value.kind) + _written(value)
        data = b""
        for tensor in self.tensors:
            offset = len(data) if tensor.claims is None else tensor.claims
            head += _string(tensor.name) + struct.pack("<I", len(tensor.shape))
            head += b"".join(map(_u64, tensor.shape))
            head += struct.pack("<I", tensor.kind & 0xFFFFFFFF) + _u64(offset)
            data += tensor.data + bytes(-len(tensor.data) % _ALIGNMENT)
        return head + bytes(-len(head) % _ALIGNMENT) + data


def taken_apart(data: bytes) -> Model:
    """The file in some bytes, which is a good one."""
    reader = _Reader(data, 8)
    tensor_count, metadata_count = reader.number("Q"), reader.number("Q")
    model = Model()
    for _ in range(metadata_count):
        model.metadata.append((reader.string(), reader.value(reader.number("I"))))
    places = []
    for _ in range(tensor_count):
        name = reader.string()
        shape = [reader.number("Q") for _ in range(reader.number("I"))]
        kind, offset = reader.number("I"), reader.number("Q")
        model.tensors.append(Tensor(name, shape, kind, b""))
        places.append(offset)
    start = -(-reader.at // _ALIGNMENT) * _ALIGNMENT
    for tensor, place, end in zip(
        model.tensors, places, [*places[1:], len(data) - start], strict=True
    ):
        tensor.data = data[start + place : start + end]
    return model


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(form)
        return value  # type: ignore[no-any-return]

    def string(self) -> bytes:
        length = self.number("Q")
        self.at += length
        return self.data[self.at - length : self.at]

    def value(self, kind: int) -> Value:
        if kind == STRING:
            return Value(kind, self.string())
        if kind == ARRAY:
            items, count = self.number("I"), self.number("Q")
            return Value(kind, [self.value(items).value for _ in range(count)], items)
        return Value(kind, self.number(FORMATS[kind]))


def _u64(number: int) -> bytes:
    return struct.pack("<Q", number & (2**64 - 1))


def _string(text: bytes) -> bytes:
    return _u64(len(text)) + text


def _written(value: Value) -> bytes:
    if value.kind == ARRAY:
        assert isinstance(value.value, list)
        head = struct.pack("<I", value.items_kind) + _u64(len(value.value))
        return head + b"".join(_written(Value(value.items_kind, item)) for item in value.value)
    if value.kind == STRING:
        assert isinstance(value.value, bytes)
        return _string(value.value)
    form = FORMATS[value.kind]
    if form in "fd?":
        return struct.pack(f"<{form}", value.value)
    assert isinstance(value.value, int)
    size = struct.calcsize(form)
    return int(value.value & (2 ** (8 * size) - 1)).to_bytes(size, "little")
