"""Copies are made from the most precise file of the same model, and of no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.cards import ModelCard
from models.header import read_header
from models.inspection import inspect
from models.quantisation import bits, quantise
from models.sources import best_source
from tests.tiny_models import write_llama

Change = Callable[[ModelCard], ModelCard]


@pytest.fixture
def precise(tmp_path: Path) -> Path:
    path = tmp_path / "Tiny.F32.gguf"
    write_llama(path)
    return path


@pytest.fixture
def cards(precise: Path) -> list[ModelCard]:
    """The same model in F32, Q8_0 and Q4_0."""
    copies = [quantise(precise, type_, lambda *_: None) for type_ in ("q8_0", "q4_0")]
    return [inspect(path) for path in (precise, *copies)]


def test_it_is_the_file_with_the_most_bits(cards: list[ModelCard]) -> None:
    f32, q8_0, q4_0 = cards
    assert best_source(q4_0, cards) is f32
    assert best_source(q4_0, [q4_0, q8_0]) is q8_0
    assert best_source(q8_0, cards) is f32


def test_without_a_better_one_it_is_the_file_itself(cards: list[ModelCard]) -> None:
    f32, q8_0, _ = cards
    assert best_source(f32, cards) is f32
    assert best_source(q8_0, [q8_0, replace(f32, quantisation="Q8_0")]) is q8_0


@pytest.mark.parametrize(
    "change",
    [
        lambda card: replace(card, name="Other", path=card.path.with_name("Other.F32.gguf")),
        lambda card: replace(card, architecture="qwen2"),
        lambda card: replace(card, parameters=card.parameters + 1),
        lambda card: replace(card, layers=card.layers + 1),
    ],
)
def test_a_file_that_says_something_else_is_another_model(
    change: Change, cards: list[ModelCard]
) -> None:
    f32, _, q4_0 = cards
    assert best_source(q4_0, [change(f32)]) is q4_0


def test_a_finetune_under_the_same_name_is_another_model(
    cards: list[ModelCard], precise: Path
) -> None:
    header = read_header(precise)
    norm = next(tensor for tensor in header.tensors if tensor.name == "output_norm.weight")
    with precise.open("r+b") as file:
        file.seek(header.data_offset + norm.offset)
        file.write(b"\x00\x00\x00\x40")  # 2.0
    f32, _, q4_0 = cards
    assert best_source(q4_0, [f32]) is q4_0


def test_a_file_that_is_gone_is_no_source(cards: list[ModelCard], precise: Path) -> None:
    f32, _, q4_0 = cards
    precise.unlink()
    assert best_source(q4_0, [f32]) is q4_0


def test_bits_are_told_by_the_name_of_a_type() -> None:
    types = ["F32", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "IQ4_XS", "Q3_K_S", "IQ2_XXS", "TQ1_0"]
    told = [bits(type_) for type_ in types]
    assert told == sorted(told, reverse=True)
    assert bits("F16") == bits("BF16")
