"""A model in another quantisation: whole or not at all, and it still chats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from amulet_local.cli import main
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.runtime.llama.quantize import QUANTISATIONS
from amulet_local.runtime.offload import Offload
from amulet_local.settings import models_folder
from models.cards import Shape, require_chat_model
from models.fetch import FetchCancelledError, Progress
from models.inspection import inspect
from models.quantisation import TYPES, quantise, quantise_apart, rounded_twice, worth_trying
from tests.models.gguf_files import write_model
from tests.tiny_models import write_llama


def test_the_types_offered_are_those_the_quantizer_knows() -> None:
    assert set(TYPES) == set(QUANTISATIONS)


@pytest.mark.parametrize("quantisation", ["q4_0", "q8_0"])
def test_a_new_file_beside_the_old_one(tmp_path: Path, quantisation: str) -> None:
    source = tmp_path / "Tiny.F32.gguf"
    write_llama(source)
    seen: list[tuple[int, int]] = []
    target = quantise(source, quantisation, lambda done, total: seen.append((done, total)))
    assert target == models_folder() / f"Tiny.{quantisation.upper()}.gguf"
    card = inspect(target)
    require_chat_model(card)
    assert card.quantisation.lower() == quantisation
    assert target.stat().st_size < source.stat().st_size
    assert seen[-1][0] == seen[-1][1] == len(seen)
    assert source.exists()
    with pytest.raises(UsageError, match="already exists"):
        quantise(source, quantisation, lambda *_: None)


def test_what_cannot_be_quantised_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    write_llama(broken)
    broken.write_bytes(broken.read_bytes()[:5000])
    with pytest.raises(NotUsableError, match="could not be quantised"):
        quantise(broken, "q8_0", lambda *_: None)
    assert not list(models_folder().iterdir())


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "tiny.gguf"
    write_llama(source)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(UsageError, match="make room"):
        quantise(source, "q8_0", lambda *_: None)


@pytest.mark.slow
def test_the_same_in_a_process_of_its_own(tmp_path: Path) -> None:
    source = tmp_path / "Tiny.F32.gguf"
    write_llama(source)
    seen: list[Progress] = []
    target = quantise_apart(source, "q8_0", seen.append, lambda: False)
    assert inspect(target).quantisation == "Q8_0"
    assert seen[-1] == Progress("writing", len(seen), len(seen), "q8_0")
    with pytest.raises(UsageError, match="already exists"):
        quantise_apart(source, "q8_0", lambda _: None, lambda: False)
    source.write_bytes(source.read_bytes()[:5000])
    with pytest.raises(NotUsableError, match="could not be quantised"):
        quantise_apart(source, "q4_0", lambda _: None, lambda: False)


def test_a_process_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "Tiny.F32.gguf"
    write_llama(source)
    with pytest.raises(FetchCancelledError, match="nothing of Tiny"):
        quantise_apart(source, "q8_0", lambda _: None, lambda: True)
    assert not list(models_folder().glob("*.part"))


def test_a_folder_that_cannot_be_written_to_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "tiny.gguf"
    write_llama(source)
    (tmp_path / "file").touch()
    monkeypatch.setenv("AMULET_MODELS", str(tmp_path / "file" / "models"))
    with pytest.raises(UsageError, match=r"cannot be written \(Not a directory\); make its"):
        quantise(source, "q8_0", lambda *_: None)


def test_a_copy_whose_name_would_be_too_long_is_told_before_it_is_written(tmp_path: Path) -> None:
    source, steps = tmp_path / f"{'n' * 249}.gguf", list[int]()
    write_llama(source)
    with pytest.raises(UsageError, match=r"\(File name too long\); use a shorter name"):
        quantise(source, "q8_0", lambda done, _: steps.append(done))
    assert not steps


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "tiny.gguf"
    write_llama(source)
    assert main(["models", "quantize", str(source), "--type", "q8_0"]) == 0
    assert "tiny.Q8_0.gguf" in capsys.readouterr().out
    assert main(["models", "quantize", str(source), "--type", "q9"]) == 2
    assert main(["models", "quantize", str(tmp_path / "no.gguf"), "--type", "q8_0"]) == 3


@pytest.mark.parametrize(
    ("source", "target", "twice"),
    [
        ("Q4_1", "q4_0", True),
        ("IQ2_XS", "q5_k_m", True),
        ("Q4_1", "f16", False),
        ("Q8_0", "q4_0", False),
        ("F16", "q4_0", False),
        ("BF16", "q4_k_m", False),
    ],
)
def test_weights_that_would_be_rounded_twice_are_told(
    source: str, target: str, twice: bool, tmp_path: Path
) -> None:
    card = replace(inspect(write_model(tmp_path / "a.gguf")), quantisation=source)
    told = rounded_twice(card, target)
    assert told.startswith(f"its weights were rounded to {source} before") is twice


def test_no_type_is_worth_trying_for_what_writes_no_text(tmp_path: Path) -> None:
    card = inspect(write_model(tmp_path / "a.gguf", "clip"))
    assert worth_trying(card, Offload(0, 3, (), 0, True)) == ()


@pytest.mark.parametrize(
    ("flags", "quantisation", "shape", "layers", "types"),
    [
        ({"avx2"}, "Q4_1", Shape(width=576), 0, ("q4_0",)),
        ({"avx2"}, "Q4_1", Shape(width=512), 0, ("q4_0", "q4_k_m")),
        ({"avx2"}, "F16", Shape(width=512), 0, ("q4_0", "q4_k_m", "q8_0")),
        ({"avx2"}, "Q4_0", Shape(width=512, q4=5000), 0, ()),
        ({"avx2"}, "Q4_K_M", Shape(width=512, q4=5000), 0, ()),
        ({"avx2"}, "Q4_K_M", Shape(width=896, q4=100), 0, ("q4_0",)),
        ({"avx2"}, "IQ2_XS", Shape(width=512), 0, ()),
        ({"avx2"}, "Q4_1", Shape(width=512), -1, ()),
        ({"sse2"}, "Q4_1", Shape(width=512), 0, ()),
        ({"sse2"}, "BF16", Shape(width=512), 0, ("q8_0",)),
    ],
)
def test_types_are_worth_trying_where_their_kernels_are_faster(
    flags: set[str],
    quantisation: str,
    shape: Shape,
    layers: int,
    types: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.memory._processor_flags", lambda: frozenset(flags))
    monkeypatch.setattr("models.memory._is_arm", lambda: False)
    card = replace(
        inspect(write_model(tmp_path / "a.gguf")), quantisation=quantisation, shape=shape
    )
    assert worth_trying(card, Offload(layers, 3, (), 0, True)) == types
