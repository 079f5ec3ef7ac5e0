"""A preview shows what the engine's prompts then are, token for token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError
from amulet_local.prompts.prompting import Prompter
from amulet_local.protocol.message import Message
from amulet_local.runtime.llama.model import Model
from models.header import Omitted, read_header, read_string
from models.preview import preview
from tests.models.gguf_files import VOCABULARY, write_model
from tests.tiny_models import write_llama, write_sentencepiece_llama, write_sliding_window

SYSTEM, QUESTION, PREFERENCE = "You help.", "the an er", "in on"


def base_model(path: Path) -> None:
    write_llama(path, template=None)


@pytest.mark.parametrize(
    "write", [write_llama, base_model, write_sentencepiece_llama, write_sliding_window]
)
def test_both_prompts_are_those_of_the_engine(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "tiny.gguf"
    write(path)
    shown = preview(path, QUESTION, PREFERENCE, system=SYSTEM)
    model = Model(str(path), vocabulary_only=True)
    prompter = Prompter(model.vocabulary, model.chat_template)
    for words, text in (("", shown.base), (PREFERENCE, shown.preference)):
        tokens = prompter.prompt(SYSTEM, [Message("user", QUESTION)], words)
        pieces = b"".join(model.vocabulary.piece(token, special=True) for token in tokens)
        # SentencePiece may begin a text with a space of its own.
        assert pieces.decode().replace(" ", "") == text.replace(" ", "")
    model.close()
    assert PREFERENCE in shown.preference
    assert PREFERENCE not in shown.base


def test_a_wish_stands_in_the_prompt_with_the_preference_alone(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    shown = preview(path, QUESTION, PREFERENCE, wish="he re")
    assert f"{QUESTION}\n\nhe re<" in shown.preference
    assert "he re" not in shown.base


def test_a_template_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path, template="{% for")
    shown = preview(path, QUESTION, PREFERENCE, system=SYSTEM)
    assert "cannot be used" in shown.problem
    assert shown.base == f"{SYSTEM}\n\nUser: {QUESTION}\nAssistant:"


def test_any_string_of_an_array_can_be_read(tmp_path: Path) -> None:
    header = read_header(write_model(tmp_path / "a.gguf"))
    tokens = header.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, Omitted)
    assert [read_string(header, tokens, k) for k in range(4)] == VOCABULARY
    assert read_string(header, tokens, 4) == read_string(header, tokens, -1) == ""


def test_a_file_that_is_gone_meanwhile_is_told(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf")
    header = read_header(path)
    tokens = header.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, Omitted)
    path.unlink()
    with pytest.raises(NotUsableError, match="cannot be read"):
        read_string(header, tokens, 1)
