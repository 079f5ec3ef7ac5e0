"""Tiny GGUF files for tests, and ways to damage them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from gguf import GGUFValueType, GGUFWriter
from gguf.gguf_writer import GGUFValue

from models.header import MOST_KEPT_ITEMS

VOCABULARY = ["<s>", "</s>", "good", "walk"]
SHAPES = {"token_embd.weight": (4, 32), "blk.0.attn_q.weight": (32, 32), "output.weight": (4, 32)}

Extra = Callable[[GGUFWriter], object]
Damage = Callable[[bytes], bytes]


def write_model(
    path: Path,
    architecture: str = "llama",
    *,
    layers: int = 2,
    kv_heads: int | None = 2,
    tokens: list[str] | None = VOCABULARY,
    tensors: Mapping[str, tuple[int, ...]] = SHAPES,
    extra: Extra = lambda _: None,
) -> Path:
    """A model with 32 numbers a token and four heads; its tensors are float32 zeros."""
    writer = GGUFWriter(path, architecture)
    writer.add_name("Tiny")
    writer.add_license("mit")
    writer.add_context_length(512)
    writer.add_block_count(layers)
    writer.add_embedding_length(32)
    writer.add_head_count(4)
    if kv_heads is not None:
        writer.add_head_count_kv(kv_heads)
    writer.add_chat_template("{{ messages }}")
    if tokens is not None:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(tokens)
        writer.add_array("test.scores", [0.5] * (MOST_KEPT_ITEMS + 1))
    extra(writer)
    for name, shape in tensors.items():
        writer.add_tensor(name, np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def claim(key: str, value: int) -> Extra:
    """Has a header say a number of 64 bits under a key, in place of what it says else."""

    def say(writer: GGUFWriter) -> None:
        writer.kv_data[0][key] = GGUFValue(value, GGUFValueType.UINT64)

    return say


def poke(at: int, value: bytes) -> Damage:
    """Overwrites bytes."""
    return lambda data: data[:at] + value + data[at + len(value) :]


def poke_after(text: bytes, skip: int, value: bytes) -> Damage:
    """Overwrites bytes some way behind the end of a text."""
    return lambda data: poke(data.index(text) + len(text) + skip, value)(data)


def cut(keep: int) -> Damage:
    """Keeps the first bytes; with a negative number, drops the last ones."""
    return lambda data: data[:keep]


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)
