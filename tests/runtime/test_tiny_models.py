"""The tiny models load in llama.cpp and differ in just the ways that they are written for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
from numpy.typing import NDArray

from amulet_local.prompts.prompting import Prompter
from amulet_local.prompts.templates import ChatTemplate, TemplateError
from amulet_local.protocol.message import Message
from amulet_local.runtime.llama.context import Batch, Context
from amulet_local.runtime.llama.model import Model
from tests import tiny_models
from tests.checks import some

WRITERS: dict[str, Callable[..., None]] = {
    "llama": tiny_models.write_llama,
    "sentencepiece llama": tiny_models.write_sentencepiece_llama,
    "mamba": tiny_models.write_mamba,
    "hybrid": tiny_models.write_hybrid,
    "sliding window": tiny_models.write_sliding_window,
}
CANNOT_REWIND = {"mamba", "hybrid"}
CONTROL = {
    "llama": ["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
    "sentencepiece llama": ["<s>", "</s>"],
    "mamba": ["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
    "hybrid": ["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
    "sliding window": ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"],
}
PROMPT = "What makes a good walking holiday?"
CONVERSATION = [{"role": "user", "content": "Hi"}]
SYSTEM = [{"role": "system", "content": "Help."}, *CONVERSATION]


@pytest.fixture(params=WRITERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tiny(kind: str, tmp_path: Path) -> Iterator[Model]:
    with opened(WRITERS[kind], tmp_path) as model:
        yield model


@pytest.fixture
def sliding_window(tmp_path: Path) -> Iterator[Model]:
    with opened(tiny_models.write_sliding_window, tmp_path) as model:
        yield model


@contextmanager
def opened(write: Callable[..., None], folder: Path, **arguments: object) -> Iterator[Model]:
    path = folder / "tiny.gguf"
    write(path, **arguments)
    model = Model(str(path))
    try:
        yield model
    finally:
        model.close()


class Reader:
    """One sequence in a context of its own, read from its start."""

    def __init__(self, model: Model) -> None:
        self.context = Context(model, length=512, batch=64, threads=1)
        self.batch = Batch(64)
        self.position = 0

    def read(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """The logits after the tokens, (vocabulary,)."""
        self.batch.clear()
        self.batch.add(tokens, self.position, 0, outputs=1)
        self.context.decode(self.batch)
        self.position += len(tokens)
        logits: NDArray[np.float32] = self.context.logits(1)[0]
        return logits.copy()


def logits_after(model: Model, tokens: Sequence[int]) -> NDArray[np.float32]:
    reader = Reader(model)
    logits = reader.read(tokens)
    reader.context.close()
    return logits


def greedy(model: Model, prompt: str, length: int) -> list[int]:
    reader = Reader(model)
    logits = reader.read(model.vocabulary.tokenize(prompt))
    reply: list[int] = []
    for _ in range(length):
        reply.append(int(logits.argmax()))
        logits = reader.read(reply[-1:])
    reader.context.close()
    return reply


# -- all of them --------------------------------------------------------------------------------


def test_logits_are_finite_and_spread_like_a_real_models(tiny: Model) -> None:
    logits = logits_after(tiny, tiny.vocabulary.tokenize(PROMPT))
    assert np.isfinite(logits).all()
    assert 2 < logits.std() < 5


def test_logits_depend_on_the_start_of_the_prompt(tiny: Model) -> None:
    one, other = (tiny.vocabulary.tokenize(f"{start}{PROMPT}") for start in "XY")
    difference = np.abs(logits_after(tiny, one) - logits_after(tiny, other))
    assert difference.max() > 0.1


def test_greedy_text_is_varied_repeatable_and_endless(tiny: Model) -> None:
    reply = greedy(tiny, PROMPT, 100)
    assert len(set(reply[-50:])) > 10
    assert not any(map(tiny.vocabulary.ends_turn, reply))
    assert greedy(tiny, PROMPT, 100) == reply


def test_a_file_follows_from_its_seed(kind: str, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "same", "other")]
    for path, seed in zip(files, (0, 0, 1), strict=True):
        WRITERS[kind](path, seed=seed)
    one, same, other = (path.read_bytes() for path in files)
    assert one == same != other
    assert len(one) < 512 * 1024


def test_control_tokens_are_one_token_only_where_they_are_meant(tiny: Model, kind: str) -> None:
    vocabulary = tiny.vocabulary
    for text in some(CONTROL[kind]):
        assert len(vocabulary.tokenize(text, parse_special=True)) == 1
        assert len(vocabulary.tokenize(text)) > 1
    assert {special.text for special in vocabulary.special_tokens} >= set(CONTROL[kind])


def test_any_text_survives_as_tokens(tiny: Model) -> None:
    text = "Over the hill,\n    naïve 散歩 🥾\x00 <|im_end|></s>"
    tokens = tiny.vocabulary.tokenize(text)
    assert b"".join(map(tiny.vocabulary.piece, tokens)).decode().removeprefix(" ") == text


def test_recurrent_state_cannot_be_cut_back(tiny: Model, kind: str) -> None:
    reader = Reader(tiny)
    reader.read([0, 0])
    assert reader.context.remove(0, 1) == (kind not in CANNOT_REWIND)
    reader.context.close()


# -- each by itself -----------------------------------------------------------------------------


def test_a_sliding_window_drops_old_cells(
    sliding_window: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = llama_cpp.llama_context_default_params

    def small_window_cache() -> llama_cpp.llama_context_params:
        parameters: llama_cpp.llama_context_params = defaults()
        parameters.swa_full = False
        return parameters

    monkeypatch.setattr(llama_cpp, "llama_context_default_params", small_window_cache)
    assert sliding_window.window == tiny_models.WINDOW
    reader = Reader(sliding_window)
    reader.read([5] * 64)
    assert reader.context.first_position(0) == 0
    for _ in range(6):
        reader.read([5] * 64)
    assert 0 < reader.context.first_position(0) <= reader.position - tiny_models.WINDOW
    reader.context.close()


def test_llamas_first_token_ids_are_the_bytes(tmp_path: Path) -> None:
    with opened(tiny_models.write_llama, tmp_path) as model:
        assert [model.vocabulary.piece(n) for n in range(256)] == [bytes([n]) for n in range(256)]
        assert len(model.vocabulary.tokenize(" the")) == 1  # merges are used


def test_a_vocabulary_is_padded_to_size(tmp_path: Path) -> None:
    with opened(tiny_models.write_llama, tmp_path, vocabulary=5000) as model:
        assert model.vocabulary.size == 5000
        assert model.vocabulary.piece(4999) == b" word4999"
        assert logits_after(model, [4999]).shape == (5000,)


def test_the_context_it_was_trained_for_can_be_chosen(tmp_path: Path) -> None:
    with opened(tiny_models.write_llama, tmp_path, context=300) as model:
        assert model.context_trained == 300


@pytest.mark.parametrize("context", [0, 2**31, 2**32 - 1])
def test_a_context_that_no_model_is_trained_for_says_nothing(context: int, tmp_path: Path) -> None:
    with opened(tiny_models.write_llama, tmp_path, context=context) as model:
        assert model.context_trained == 0


def test_only_sentencepiece_begins_with_a_token_and_llama_2_with_a_space(
    tiny: Model, kind: str
) -> None:
    begins = {"sentencepiece llama", "sliding window"}
    assert tiny.vocabulary.beginning == (1 if kind in begins else None)
    first = tiny.vocabulary.piece(tiny.vocabulary.tokenize("hill")[0])
    assert first.startswith(b" ") == (kind == "sentencepiece llama")


def test_no_token_begins_or_ends_a_text_that_the_header_does_not_name(tmp_path: Path) -> None:
    """llama.cpp takes the eleventh, here a control character, as GPT-2's first models had it."""
    with opened(tiny_models.write_llama, tmp_path, names_ends=False) as model:
        vocabulary = model.vocabulary
        assert vocabulary.beginning is None
        assert (vocabulary.bos_text, vocabulary.eos_text) == ("", "")
        ends = [token for token in range(vocabulary.size) if vocabulary.ends_turn(token)]
        texts = [vocabulary.piece(token, special=True) for token in ends]
        assert texts == [b"<|endoftext|>", b"<|im_end|>"]  # llama.cpp knows them by their texts
        template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
        prompt = Prompter(vocabulary, template).prompt("", [Message("user", "Hi")])
        assert bytes(prompt) == b"Hi"


# -- chat templates -----------------------------------------------------------------------------


def rendered(model: Model, messages: list[dict[str, str]]) -> str:
    assert model.chat_template is not None
    return ChatTemplate(model.chat_template, "<s>", "</s>").render(messages)


def test_a_base_model_has_no_template(tmp_path: Path) -> None:
    with opened(tiny_models.write_llama, tmp_path, template=None) as model:
        assert model.chat_template is None


def test_the_default_template_is_chatml(tmp_path: Path) -> None:
    with opened(tiny_models.write_llama, tmp_path) as model:
        assert rendered(model, SYSTEM) == (
            "<|im_start|>system\nHelp.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n"
        )


def test_llama_2_folds_the_system_message_into_the_first_turn(tmp_path: Path) -> None:
    again = [{"role": "assistant", "content": "Yes?"}, *CONVERSATION]
    with opened(tiny_models.write_sentencepiece_llama, tmp_path) as model:
        assert rendered(model, [*SYSTEM, *again]) == (
            "<s>[INST] <<SYS>>\nHelp.\n<</SYS>>\n\nHi [/INST] Yes? </s><s>[INST] Hi [/INST]"
        )
        with pytest.raises(TemplateError, match="take turns"):
            rendered(model, CONVERSATION * 2)


def test_gemma_refuses_a_system_message(sliding_window: Model) -> None:
    assert rendered(sliding_window, CONVERSATION) == (
        "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n"
    )
    with pytest.raises(TemplateError, match="system role"):
        rendered(sliding_window, SYSTEM)
