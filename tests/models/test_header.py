"""A header is read as the reference reader reads it, and every defect is named in one sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from gguf import GGUFReader, GGUFWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from amulet_local.errors import NotUsableError
from models import reader
from models.header import MOST_KEPT_ITEMS, Header, Omitted, read_header
from models.inspection import inspect
from tests.checks import calls
from tests.models.gguf_files import Damage, cut, poke, poke_after, u32, u64, write_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = write_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf")
    return path.read_bytes()


def read(data: bytes, folder: Path) -> Header:
    path = folder / "model.gguf"
    path.write_bytes(data)
    return read_header(path)


def complaint(data: bytes, folder: Path) -> str:
    with pytest.raises(NotUsableError) as caught:
        read(data, folder)
    return str(caught.value)


def test_agrees_with_the_reference_reader(tiny: bytes, tmp_path: Path) -> None:
    header = read(tiny, tmp_path)
    reference = GGUFReader(header.path)
    assert header.data_offset == reference.data_offset
    assert [
        (tensor.name, tensor.type, tensor.shape, header.data_offset + tensor.offset, tensor.size)
        for tensor in header.tensors
    ] == [
        (tensor.name, tensor.tensor_type, tuple(tensor.shape), tensor.data_offset, tensor.n_bytes)
        for tensor in reference.tensors
    ]
    scalars = {key: value for key, value in header.metadata.items() if isinstance(value, str | int)}
    assert len(scalars) == 10
    assert scalars == {key: reference.fields[key].contents() for key in scalars}


def test_long_arrays_and_strings_are_only_counted(tiny: bytes, tmp_path: Path) -> None:
    metadata = read(tiny, tmp_path).metadata
    assert metadata["tokenizer.ggml.tokens"] == Omitted(4)
    assert metadata["test.scores"] == Omitted(MOST_KEPT_ITEMS + 1)


def test_short_arrays_of_numbers_are_kept(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf", extra=lambda w: w.add_array("test.layers", [1, 0, 7]))
    assert read_header(path).metadata["test.layers"] == (1, 0, 7)


HUGE = u64(1 << 60)
MOST = (1 << 64) - 1
DEFECTS: dict[str, tuple[Damage, str]] = {
    "empty": (cut(0), "is empty"),
    "text": (lambda _: b"Dear model,\n", r"is not a GGUF file \(it begins with b'Dear'"),
    "three bytes": (cut(3), "is not a GGUF file"),
    "flipped magic": (poke(1, b"g"), "is not a GGUF file"),
    "flipped version": (poke(4, u32(3 ^ 64)), "says it is GGUF version 67"),
    "version 0": (poke(4, u32(0)), "version 0"),
    "version 1": (poke(4, u32(1)), "version 1"),
    "big endian": (poke(4, b"\0\0\0\3"), "big-endian"),
    "tensor count": (poke(8, HUGE), "claims 1,152,921,504,606,846,976 tensors"),
    "metadata count": (poke(16, HUGE), "claims 1,152,921,504,606,846,976 metadata entries"),
    "one tensor more": (poke(8, u64(4)), "damaged header"),
    "one tensor less": (poke(8, u64(2)), "runs on past the start of the data"),
    "one entry more": (poke(16, u64(15)), "damaged header"),
    "one entry less": (poke(16, u64(13)), "damaged header"),
    "key length": (poke(24, HUGE), "a metadata key is 1,152,921,504,606,846,976 bytes long"),
    "no key": (poke(24, u64(0)), "a metadata key is 0 bytes long"),
    "key not text": (poke(32, b"\xff"), "a metadata key is not text"),
    "value type": (poke_after(b"llama.block_count", 0, u32(13)), "llama.block_count.* type 13"),
    "text length": (poke_after(b"general.name", 4, HUGE), "over 64 MiB"),
    "text length past the end": (poke_after(b"general.name", 4, u64(1 << 24)), "cut short"),
    "array of arrays": (poke_after(b"test.scores", 4, u32(9)), "test.scores.* type 9"),
    "array length": (poke_after(b"test.scores", 8, HUGE), "over 64 MiB"),
    "list length": (poke_after(b"tokenizer.ggml.tokens", 8, HUGE), "claims .* tokens"),
    "token length": (poke_after(b"tokenizer.ggml.tokens", 16, HUGE), "over 64 MiB"),
    "last token length": (poke_after(b"</s>\4\0\0\0\0\0\0\0good", 0, HUGE), "over 64 MiB"),
    "token twice": (lambda data: data.replace(b"walk", b"good"), "token b'good' appears twice"),
    "tensor name length": (poke_after(b"output.weight", -21, u64(64)), "tensor name is 64 bytes"),
    "dimensions": (poke_after(b"output.weight", 0, u32(5)), "output.weight' has 5 dimensions"),
    "tensor type": (poke_after(b"output.weight", 20, u32(99)), "output.weight' .* type 99"),
    "retired type": (poke_after(b"output.weight", 20, u32(4)), "output.weight' .* type 4"),
    "part of a block": (poke_after(b"output.weight", 4, u64(31) + u64(4) + u32(2)), "rows of 31"),
    "overlap": (poke_after(b"output.weight", 24, u64(4096)), "is at 4,096, expected at 4,608"),
    "unaligned": (poke_after(b"output.weight", 24, u64(4609)), "is at 4,609"),
    "out of the file": (poke_after(b"output.weight", 24, HUGE), "is at 1,152,921"),
    "flipped shape": (poke_after(b"attn_q.weight", 4, u64(33)), "is at 4,608, expected at 4,736"),
    "huge last tensor": (
        poke_after(b"output.weight", 12, HUGE),
        "has the shape 32 x 1,152,921,504",
    ),
    "large last tensor": (
        poke_after(b"output.weight", 12, u64(1 << 30)),
        "of its .* bytes are missing",
    ),
    "shape of 128 bits": (poke_after(b"output.weight", 4, u64(MOST) + u64(MOST)), "has the shape"),
    "shape with a zero": (poke_after(b"output.weight", 4, u64(MOST) + u64(0)), "x 0"),
    "shape of a zero": (poke_after(b"output.weight", 4, u64(0) + u64(MOST)), "shape 0 x 18,446"),
    "no last byte": (cut(-1), "is cut short: 1 of its [0-9,]+ bytes are missing"),
    "half": (lambda data: data[: len(data) // 2], "cut short"),
    "1 KB": (cut(1024), "cut short: it ends inside its header, after 1,024 bytes"),
    "ten bytes": (cut(10), "cut short"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_named_in_one_sentence(defect: str, tiny: bytes, tmp_path: Path) -> None:
    damage, expected = DEFECTS[defect]
    sentence = complaint(damage(tiny), tmp_path)
    assert re.search(expected, sentence)
    assert str(tmp_path / "model.gguf") in sentence
    assert re.search(r"; (fetch|choose)|, or fetch", sentence), "it says what to do"
    assert "\n" not in sentence
    assert len(sentence) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("alignment", [0, 24])
def test_a_senseless_alignment_is_named(alignment: int, tmp_path: Path) -> None:
    path = write_model(
        tmp_path / "a.gguf", extra=lambda w: w.add_uint32("general.alignment", alignment)
    )
    with pytest.raises(NotUsableError, match=f"alignment is {alignment}, not a power of two"):
        read_header(path)


def test_a_file_larger_than_any_is_named(
    tiny: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or sums over the files of a model would be numbers that no message can carry."""
    monkeypatch.setattr("models.header.LARGEST_FILE", len(tiny))
    assert read(tiny, tmp_path).file_size == len(tiny)
    assert "is larger than any model" in complaint(tiny + b"\0", tmp_path)


def test_a_repeated_key_is_named(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf", extra=lambda w: w.add_bool("test.tokens", True))
    data = path.read_bytes().replace(b"test.tokens", b"test.scores")
    assert "metadata key 'test.scores' appears twice" in complaint(data, tmp_path)


def test_empty_tokens_may_repeat(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf", tokens=["a", "", ""])
    assert read_header(path).metadata["tokenizer.ggml.tokens"] == Omitted(3)


def test_a_repeated_tensor_is_named(tmp_path: Path) -> None:
    shapes = {"a.weight": (1, 32), "b.weight": (1, 32)}
    path = write_model(tmp_path / "a.gguf", tensors=shapes)
    data = path.read_bytes().replace(b"b.weight", b"a.weight")
    assert "tensor 'a.weight' appears twice" in complaint(data, tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotUsableError, match=r"there is no file .*none\.gguf"):
        read_header(tmp_path / "none.gguf")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(NotUsableError, match="is a folder"):
        read_header(tmp_path)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(NotUsableError, match="not a regular file"):
        read_header(tmp_path / "pipe.gguf")


@pytest.mark.parametrize("path", ["a\0b.gguf", "a" * 5000 + ".gguf"])
def test_an_impossible_path_is_an_error_like_others(path: str) -> None:
    with pytest.raises(NotUsableError, match="cannot be read"):
        read_header(Path(path))


def test_a_hostile_header_is_read_to_the_bound_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of a billion empty strings, in a sparse file long enough to hold them."""
    monkeypatch.setattr("models.header.LARGEST_HEADER", 4 << 20)
    key = b"tokenizer.ggml.merges"
    path = write_model(tmp_path / "a.gguf", extra=lambda w: w.add_array(key.decode(), ["g o"]))
    data = poke_after(key, 8, u64(1 << 30))(path.read_bytes())
    path.write_bytes(data[: data.index(key) + len(key) + 16])
    os.truncate(path, 1 << 34)
    read: list[int] = []

    class Counted(FileIO):
        def readinto(self, buffer: Any) -> int | None:
            read.append(super().readinto(buffer) or 0)
            return read[-1]

    monkeypatch.setattr(Path, "open", lambda self, *_, **__: Counted(self))
    with pytest.raises(NotUsableError, match="over 4 MiB"):
        read_header(path)
    assert 0 < sum(read) <= 5 << 20


STRANGE = st.one_of(
    st.text(max_size=12),
    st.text("\0", max_size=20),
    st.integers(250, 260).map(lambda length: "x" * length),
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(strings=st.lists(STRANGE, max_size=300, unique=True))
def test_strings_are_passed_over_as_they_are_read_one_by_one(
    strings: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Many at a time is a matter of speed, and the rest of the header still begins behind them."""
    path = tmp_path_factory.getbasetemp() / "strings.gguf"
    words = ["<s>", *(f"{text}$" for text in strings)]

    def strange(writer: GGUFWriter) -> None:
        writer.add_array("test.strings", words)
        writer.add_string("test.behind", "still here")

    one_by_one = read_header(write_model(path, tokens=words, extra=strange))
    with patch.object(reader, "_SINGLY", 0):
        header = read_header(path, compare_tokens=False)
    assert header == one_by_one
    assert header.metadata["test.strings"] == Omitted(len(words))
    assert header.metadata["test.behind"] == "still here"


@pytest.mark.slow
@pytest.mark.parametrize("changed", [0, 7_000, 19_999])
def test_a_vocabulary_that_only_seems_familiar_is_walked_through(
    changed: int, tmp_path: Path
) -> None:
    """Those of one family are compared with what was passed over before."""
    tokens = [f"token {number}" for number in range(20_000)]

    def behind(writer: GGUFWriter) -> None:
        writer.add_string("test.behind", "still here")

    def metadata(name: str) -> Mapping[str, object]:
        path = write_model(tmp_path / name, tokens=tokens, extra=behind)
        return read_header(path, compare_tokens=False).metadata

    first, second = metadata("a.gguf"), metadata("b.gguf")
    tokens[changed] = "another, and a longer one"
    assert first == second == metadata("c.gguf") == metadata("d.gguf")
    assert first["test.behind"] == "still here"
    assert first["tokenizer.ggml.tokens"] == Omitted(20_000)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(data=st.data(), many=st.sampled_from([0, 1_000]))
def test_no_damage_raises_anything_else(
    data: st.DataObject, many: int, tiny: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    header_size = len(tiny) - 5120
    damaged = bytearray(tiny)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, header_size - 1))
        damaged[at] ^= data.draw(st.integers(1, 255))
    kept = data.draw(st.integers(0, len(tiny)) | st.just(len(tiny)))
    path = tmp_path_factory.getbasetemp() / "fuzzed.gguf"
    path.write_bytes(damaged[:kept])
    with suppress(NotUsableError), patch.object(reader, "_SINGLY", many):
        card = inspect(path)
        assert (card.name + card.architecture + card.licence).isprintable()


@pytest.mark.model
class TestTheDefaultModel:
    """Its real header, in front of data that is a hole, so that copies cost nothing."""

    @pytest.fixture(scope="class")
    @classmethod
    def head(cls, default_model: Path) -> bytes:
        header = read_header(default_model)
        with default_model.open("rb") as file:
            return file.read(header.data_offset)

    def copy(self, head: bytes, size: int, folder: Path) -> Path:
        path = folder / "model.gguf"
        path.write_bytes(head)
        os.truncate(path, size)
        return path

    def test_it_is_read_with_few_calls(self, default_model: Path) -> None:
        """It has 49,152 tokens and as many merges; looked at only, none costs a call."""
        assert len(read_header(default_model).tensors) == 272
        assert calls(lambda: read_header(default_model)) < 7 * 49_152
        assert calls(lambda: read_header(default_model, compare_tokens=False)) < 49_152

    def test_cut_at_half_the_missing_bytes_are_told(self, head: bytes, tmp_path: Path) -> None:
        path = self.copy(head, 98_362_432 // 2, tmp_path)
        with pytest.raises(NotUsableError, match="49,181,216 of its 98,362,432 bytes are missing"):
            read_header(path)

    def test_cut_at_1_kb_it_ends_in_its_header(self, head: bytes, tmp_path: Path) -> None:
        path = self.copy(head, 1024, tmp_path)
        with pytest.raises(NotUsableError, match="ends inside its header, after 1,024 bytes"):
            read_header(path)

    @pytest.mark.parametrize("at", range(24))
    def test_a_flip_in_the_preamble_is_named(self, at: int, head: bytes, tmp_path: Path) -> None:
        damaged = poke(at, bytes([head[at] ^ 0x10]))(head)
        with pytest.raises(NotUsableError):
            read_header(self.copy(damaged, 98_362_432, tmp_path))
