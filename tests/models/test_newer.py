"""What this build of llama.cpp is too old for is said to be so, and is not offered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gguf.constants import MODEL_ARCH_NAMES, GGMLQuantizationType

from amulet_local.cli import main
from amulet_local.errors import NotUsableError
from amulet_local.runtime.llama import build
from amulet_local.runtime.llama.build import Type, knows_architecture, knows_type, types
from amulet_local.runtime.llama.model import Model
from amulet_local.settings import models_folder
from models.header import read_header
from models.library import listing
from tests.checks import some
from tests.models.gguf_files import poke_after, u32, write_model
from tests.tiny_models import write_llama


@pytest.fixture
def folder() -> Path:
    models_folder().mkdir(parents=True)
    return models_folder()


def write_typed(path: Path, number: int) -> Path:
    """A model whose last tensor, (4, 32) numbers, is of a type by number."""
    write_model(path)
    path.write_bytes(poke_after(b"output.weight", 20, u32(number))(path.read_bytes()))
    return path


# -- what the library knows -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3moe", "gemma3", "gpt-oss", "bert"])
def test_architectures_of_the_library_are_known(name: str) -> None:
    assert knows_architecture(name)


@pytest.mark.parametrize("name", ["frobnicate", "llama99", "qwen-9", "xllama"])
def test_others_are_not(name: str) -> None:
    assert not knows_architecture(name)


def test_names_are_the_librarys_own_and_not_those_of_gguf(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "qwen2" in MODEL_ARCH_NAMES.values()
    monkeypatch.setattr(build, "_contents", lambda _: b"\0llama\0brandnew\0")
    assert knows_architecture("brandnew")
    assert not knows_architecture("qwen2")


def test_nothing_is_refused_where_the_library_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "_contents", lambda _: b"")
    assert knows_architecture("frobnicate")
    assert knows_type("Q99_K")


def test_types_of_the_library_are_known_with_their_sizes() -> None:
    assert types()[GGMLQuantizationType.Q4_K] == Type("Q4_K", 256, 144)
    assert types()[4].block == 0
    assert all(knows_type(each.name) for each in some(types().values()))


# -- architectures --------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["frobnicate", "llama5", "\u2603", "a" * 70])
def test_a_model_of_an_unknown_architecture_is_left_out_with_the_reason(
    architecture: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_model(folder / "new.gguf", architecture)
    write_model(folder / "usual.gguf")
    assert [model.name for model in listing().models] == ["usual"]
    assert main(["models", "--all"]) == 0
    assert f"its architecture, {architecture!r}" in capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    (left,) = json.loads(capsys.readouterr().out)["left_out"]
    assert "needs a newer llama.cpp" in left["reason"]
    assert main(["ask", "hi", "-m", str(path)]) == 3
    assert "needs a newer llama.cpp" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)


def test_the_engine_says_the_same_of_it(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_llama(path)
    path.write_bytes(path.read_bytes().replace(b"llama", b"lxama"))
    with pytest.raises(NotUsableError, match=r"unknown model architecture.*; update Amulet"):
        Model(str(path))


def test_a_vocabulary_that_llama_cpp_does_not_know_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_llama(path)
    data = path.read_bytes()
    assert data.count(b"gpt2") == 1
    path.write_bytes(data.replace(b"gpt2", b"gptx"))
    with pytest.raises(NotUsableError, match=r"unknown .*; update Amulet"):
        Model(str(path))


# -- types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [97, 140, 337, 1000])
def test_an_unknown_type_needs_a_newer_llama_cpp(number: int, folder: Path) -> None:
    path = write_typed(folder / "new.gguf", number)
    with pytest.raises(NotUsableError, match=f"needs a newer llama.cpp: .* type {number}"):
        read_header(path)
    (left,) = listing().left_out
    assert "needs a newer llama.cpp" in left.reason
    assert "damaged" not in left.reason


def test_a_type_that_gguf_knows_and_the_library_does_not_needs_a_newer_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.header.knows_type", lambda name: name != "BF16")
    with pytest.raises(NotUsableError, match=r"needs a newer llama\.cpp: .* type 30"):
        read_header(write_typed(folder / "new.gguf", 30))


@pytest.mark.parametrize("number", [4, 5, 31, 32, 33, 36, 37, 38])
def test_a_type_that_was_given_up_is_told_as_such(number: int, folder: Path) -> None:
    with pytest.raises(NotUsableError, match=f"too old for this llama.cpp: .* type {number},"):
        read_header(write_typed(folder / "old.gguf", number))


@pytest.mark.parametrize("number", [1024, 0x10000, 0xFFFFFFFF])
def test_a_type_beyond_all_is_damage(number: int, folder: Path) -> None:
    with pytest.raises(NotUsableError, match=f"damaged header .* type {number}"):
        read_header(write_typed(folder / "bad.gguf", number))


def test_a_type_that_the_library_knows_and_gguf_does_not_can_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.header.types", lambda: {900: Type("Q9_X", 2, 4)})
    path = write_typed(folder / "m.gguf", 900)
    tensor = read_header(path).tensors[-1]
    assert (tensor.type.name, tensor.size) == ("Q9_X", 4 * 32 // 2 * 4)
    assert [model.name for model in listing().models] == ["m"]


def test_another_build_is_asked_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_typed(folder / "m.gguf", 900)
    assert listing().models == ()
    monkeypatch.setattr("models.header.types", lambda: {900: Type("Q9_X", 1, 4)})
    monkeypatch.setattr("models.card_cache.build_stamp", lambda: "newer")
    assert [model.name for model in listing().models] == ["m"]
