"""Tiny random models for tests: GGUF files that llama.cpp loads and runs in milliseconds.

A path goes in; a file with two layers of float32 weights is written there, the same bytes for the
same arguments. What such a model says means nothing, but its logits are spread like a real one's
and depend on the whole prompt. Left to itself it never ends a reply: the logits of its control
tokens are always zero, far below the best. The writers differ in what an engine has to cope with:
how text becomes tokens, which roles the chat template knows, whether memory can be cut back.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf.constants import TokenType
from numpy.typing import NDArray

LAYERS = 2
WIDTH = 64
HEADS = 4
KV_HEADS = 2
HEAD_WIDTH = WIDTH // HEADS
FEED_FORWARD = 128
CONTEXT = 2048
WINDOW = 16
SHARPNESS = 1.5  # deviation of queries and keys: enough for attention not to blur a long prompt

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
INST = (
    "{% if messages[0].role == 'system' %}"
    "{% set system = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n' %}"
    "{% set turns = messages[1:] %}"
    "{% else %}"
    "{% set system = '' %}"
    "{% set turns = messages %}"
    "{% endif %}"
    "{% for turn in turns %}"
    "{% if (turn.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('user and assistant must take turns') }}"
    "{% elif turn.role == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.first else '') + turn.content + ' [/INST]' }}"
    "{% else %}"
    "{{ ' ' + turn.content + ' ' + eos_token }}"
    "{% endif %}"
    "{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message.role == 'system' %}"
    "{{ raise_exception('the system role is not supported') }}"
    "{% endif %}"
    "{% set role = 'model' if message.role == 'assistant' else message.role %}"
    "{{ '<start_of_turn>' + role + '\\n' + message.content + '<end_of_turn>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)


# -- one writer for each kind of model ----------------------------------------------------------


def write_llama(
    path: Path,
    *,
    vocabulary: int | None = None,
    template: str | None = CHATML,
    context: int = CONTEXT,
    names_ends: bool = True,
    seed: int = 0,
) -> None:
    """A plain transformer with a byte-level vocabulary, where token ids below 256 are the bytes.

    vocabulary: pad it to this many tokens with words that no text contains. template: None for a
    base model. context: the length it claims to be trained for, in tokens. names_ends: whether the
    header says which tokens begin and end a text; if not, it only says that one begins each.
    """
    with _model(path, "llama", context, seed) as model:
        _byte_level(model, template, vocabulary, names_ends)
        _llama(model)


def write_reciting_llama(path: Path, text: str, *, context: int = CONTEXT) -> None:
    """The same transformer, but behind every prompt it writes this text, a line a token, and ends.

    text: no two lines alike, and fewer of them than WIDTH. No preference moves it.
    """
    with _model(path, "llama", context, 0) as model:
        _byte_level(model, CHATML, recited=text)
        _llama(model)


def write_sentencepiece_llama(path: Path, *, seed: int = 0) -> None:
    """The same transformer with Llama 2's kind of vocabulary: <s> begins every prompt, a space too.

    Its chat template knows [INST], and a system message only as part of the first question.
    """
    with _model(path, "llama", CONTEXT, seed) as model:
        _sentencepiece(model, INST, bos="<s>", eos="</s>", add_space_prefix=True)
        _llama(model)


def write_qwen2(path: Path, *, seed: int = 0) -> None:
    """Qwen 2.5's kind: queries, keys and values have biases."""
    with _model(path, "qwen2", CONTEXT, seed) as model:
        _byte_level(model, CHATML)
        _transformer(model)
        for layer in range(LAYERS):
            _attention(model, layer)
            _attention_biases(model, layer)
            _feed_forward(model, layer)


def write_qwen3(path: Path, *, seed: int = 0) -> None:
    """Qwen 3's kind: queries and keys are normalised head by head."""
    with _model(path, "qwen3", CONTEXT, seed) as model:
        _byte_level(model, CHATML)
        _transformer(model)
        model.writer.add_key_length(HEAD_WIDTH)
        model.writer.add_value_length(HEAD_WIDTH)
        for layer in range(LAYERS):
            _attention(model, layer, head_norms=True)
            _feed_forward(model, layer)


def write_phi3(path: Path, *, seed: int = 0) -> None:
    """Phi 3's kind: queries, keys and values are one matrix, gate and feed-forward another."""
    with _model(path, "phi3", CONTEXT, seed) as model:
        end = ("<|endoftext|>",)  # which llama.cpp expects of a phi3
        _sentencepiece(model, INST, bos="<s>", eos="</s>", more_control=end, add_space_prefix=True)
        _transformer(model)
        model.writer.add_rope_dimension_count(HEAD_WIDTH)
        for layer in range(LAYERS):
            block = f"blk.{layer}"
            model.ones(f"{block}.attn_norm.weight", WIDTH)
            parts = [(WIDTH, SHARPNESS), (KV_HEADS * HEAD_WIDTH, SHARPNESS)]
            parts.append((KV_HEADS * HEAD_WIDTH, 1.0))
            together = [model.draw(rows, WIDTH, gain) for rows, gain in parts]
            model.constant(f"{block}.attn_qkv.weight", np.concatenate(together))
            model.matrix(f"{block}.attn_output.weight", WIDTH, WIDTH)
            model.ones(f"{block}.ffn_norm.weight", WIDTH)
            model.matrix(f"{block}.ffn_up.weight", 2 * FEED_FORWARD, WIDTH)
            model.matrix(f"{block}.ffn_down.weight", WIDTH, FEED_FORWARD)


def write_gpt_oss(path: Path, *, seed: int = 0) -> None:
    """gpt-oss's kind: experts, a sink for attention in every head, every other layer a window."""
    experts = 4
    with _model(path, "gpt-oss", CONTEXT, seed) as model:
        _byte_level(model, CHATML)
        _transformer(model)
        writer = model.writer
        writer.add_key_length(HEAD_WIDTH)
        writer.add_value_length(HEAD_WIDTH)
        writer.add_rope_dimension_count(HEAD_WIDTH)
        writer.add_sliding_window(WINDOW)
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
        writer.add_expert_feed_forward_length(FEED_FORWARD)
        for layer in range(LAYERS):
            _attention(model, layer)
            _attention_biases(model, layer)
            block = f"blk.{layer}"
            model.constant(f"{block}.attn_output.bias", np.zeros(WIDTH))
            model.constant(f"{block}.attn_sinks.weight", np.zeros(HEADS))
            model.ones(f"{block}.post_attention_norm.weight", WIDTH)
            model.matrix(f"{block}.ffn_gate_inp.weight", experts, WIDTH)
            model.constant(f"{block}.ffn_gate_inp.bias", np.zeros(experts))
            for name, rows, columns in (
                ("gate", FEED_FORWARD, WIDTH),
                ("up", FEED_FORWARD, WIDTH),
                ("down", WIDTH, FEED_FORWARD),
            ):
                drawn = [model.draw(rows, columns, 1.0) for _ in range(experts)]
                model.constant(f"{block}.ffn_{name}_exps.weight", np.stack(drawn))
                model.constant(f"{block}.ffn_{name}_exps.bias", np.zeros((experts, rows)))


def write_mamba(path: Path, *, seed: int = 0) -> None:
    """A recurrent model: its memory is one state a sequence and cannot be cut back."""
    inner, state, rank, kernel = 2 * WIDTH, 16, 8, 4
    with _model(path, "mamba", CONTEXT, seed) as model:
        _byte_level(model, CHATML)
        writer = model.writer
        writer.add_feed_forward_length(0)
        writer.add_head_count(0)
        writer.add_ssm_conv_kernel(kernel)
        writer.add_ssm_inner_size(inner)
        writer.add_ssm_state_size(state)
        writer.add_ssm_time_step_rank(rank)
        decay = -np.arange(1, state + 1, dtype=np.float32)
        for layer in range(LAYERS):
            block = f"blk.{layer}"
            model.ones(f"{block}.attn_norm.weight", WIDTH)
            model.matrix(f"{block}.ssm_in.weight", 2 * inner, WIDTH)
            model.matrix(f"{block}.ssm_conv1d.weight", inner, kernel)
            model.constant(f"{block}.ssm_conv1d.bias", np.zeros(inner))
            model.matrix(f"{block}.ssm_x.weight", rank + 2 * state, inner, gain=4)
            model.matrix(f"{block}.ssm_dt.weight", inner, rank)
            # softplus(-4) is 0.02: the slowest states remember some fifty tokens.
            model.constant(f"{block}.ssm_dt.bias", np.full(inner, -4))
            model.constant(f"{block}.ssm_a", np.tile(decay, (inner, 1)))
            model.ones(f"{block}.ssm_d", inner)
            model.matrix(f"{block}.ssm_out.weight", WIDTH, inner)


def write_hybrid(path: Path, *, seed: int = 0) -> None:
    """LFM2's kind: a short convolution, then attention. The convolution's state cannot be cut."""
    kernel = 3
    with _model(path, "lfm2", CONTEXT, seed, final_norm="token_embd_norm") as model:
        _byte_level(model, CHATML)
        _transformer(model, kv_heads=[0, KV_HEADS])
        model.writer.add_shortconv_l_cache(kernel)
        model.ones("blk.0.attn_norm.weight", WIDTH)
        model.matrix("blk.0.shortconv.in_proj.weight", 3 * WIDTH, WIDTH)
        model.matrix("blk.0.shortconv.conv.weight", WIDTH, kernel)
        model.matrix("blk.0.shortconv.out_proj.weight", WIDTH, WIDTH)
        _attention(model, 1, head_norms=True)
        for layer in range(LAYERS):
            _feed_forward(model, layer)


def write_sliding_window(path: Path, *, seed: int = 0) -> None:
    """Gemma 3's kind: every other layer sees WINDOW tokens back, and its older cells are dropped.

    Its chat template refuses a system role.
    """
    with _model(path, "gemma3", CONTEXT, seed) as model:
        turns = ("<start_of_turn>", "<end_of_turn>")
        _sentencepiece(
            model, GEMMA, bos="<bos>", eos="<eos>", more_control=turns, add_space_prefix=False
        )
        _transformer(model)
        writer = model.writer
        writer.add_key_length(HEAD_WIDTH)
        writer.add_value_length(HEAD_WIDTH)
        writer.add_sliding_window(WINDOW)
        writer.add_sliding_window_pattern(2)
        for layer in range(LAYERS):
            _attention(model, layer, head_norms=True)
            model.ones(f"blk.{layer}.post_attention_norm.weight", WIDTH)
            _feed_forward(model, layer)
            model.ones(f"blk.{layer}.post_ffw_norm.weight", WIDTH)


# -- the file being written ---------------------------------------------------------------------


@dataclass
class _Model:
    """A GGUF file under construction: its writer, the source of its weights, and its tokens."""

    writer: gguf.GGUFWriter
    random: np.random.Generator
    token_types: Sequence[TokenType] = ()
    chain: Sequence[int] = ()  # tokens, each of which the next one always follows

    def matrix(self, name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        """Random weights that turn an input of variance 1 into an output of deviation `gain`."""
        self.constant(name, self.draw(rows, columns, gain))

    def ones(self, name: str, size: int) -> None:
        self.constant(name, np.ones(size))

    def constant(self, name: str, values: NDArray[np.floating]) -> None:
        self.writer.add_tensor(name, values.astype(np.float32))

    def draw(self, rows: int, columns: int, gain: float) -> NDArray[np.float32]:
        scale = np.float32(gain / np.sqrt(columns))
        return self.random.standard_normal((rows, columns), np.float32) * scale


@contextmanager
def _model(
    path: Path, architecture: str, context: int, seed: int, *, final_norm: str = "output_norm"
) -> Iterator[_Model]:
    """Write what all architectures have around what the body adds: header, embedding, output."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(f"tiny {architecture}")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_layer_norm_rms_eps(1e-5)
    model = _Model(writer, np.random.default_rng(seed))
    yield model
    # In a chain, layers are to add next to nothing, so that only the last token counts.
    embedding = model.draw(len(model.token_types), WIDTH, gain=1000 if model.chain else 1)
    model.constant("token_embd.weight", embedding)
    model.ones(f"{final_norm}.weight", WIDTH)
    output = model.draw(len(model.token_types), WIDTH, gain=3)
    output[[kind == TokenType.CONTROL for kind in model.token_types]] = 0
    for token, following in itertools.pairwise(model.chain):
        output[following] = embedding[token]
    model.constant("output.weight", output)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# -- layers -------------------------------------------------------------------------------------


def _llama(model: _Model) -> None:
    _transformer(model)
    model.writer.add_rope_dimension_count(HEAD_WIDTH)
    for layer in range(LAYERS):
        _attention(model, layer)
        _feed_forward(model, layer)


def _transformer(model: _Model, kv_heads: int | list[int] = KV_HEADS) -> None:
    """The hyperparameters of attention and feed-forward; kv_heads may be given for each layer."""
    model.writer.add_feed_forward_length(FEED_FORWARD)
    model.writer.add_head_count(HEADS)
    model.writer.add_head_count_kv(kv_heads)


def _attention(model: _Model, layer: int, *, head_norms: bool = False) -> None:
    """Queries, keys, values; head_norms: queries and keys are normalised head by head."""
    block, kv_width = f"blk.{layer}", KV_HEADS * HEAD_WIDTH
    model.ones(f"{block}.attn_norm.weight", WIDTH)
    model.matrix(f"{block}.attn_q.weight", WIDTH, WIDTH, gain=SHARPNESS)
    model.matrix(f"{block}.attn_k.weight", kv_width, WIDTH, gain=SHARPNESS)
    model.matrix(f"{block}.attn_v.weight", kv_width, WIDTH)
    model.matrix(f"{block}.attn_output.weight", WIDTH, WIDTH)
    if head_norms:
        model.constant(f"{block}.attn_q_norm.weight", np.full(HEAD_WIDTH, SHARPNESS))
        model.constant(f"{block}.attn_k_norm.weight", np.full(HEAD_WIDTH, SHARPNESS))


def _attention_biases(model: _Model, layer: int) -> None:
    for part, width in (("q", WIDTH), ("k", KV_HEADS * HEAD_WIDTH), ("v", KV_HEADS * HEAD_WIDTH)):
        bias = model.random.standard_normal(width, np.float32) / 4
        model.constant(f"blk.{layer}.attn_{part}.bias", bias)


def _feed_forward(model: _Model, layer: int) -> None:
    block = f"blk.{layer}"
    model.ones(f"{block}.ffn_norm.weight", WIDTH)
    model.matrix(f"{block}.ffn_gate.weight", FEED_FORWARD, WIDTH)
    model.matrix(f"{block}.ffn_up.weight", FEED_FORWARD, WIDTH)
    model.matrix(f"{block}.ffn_down.weight", WIDTH, FEED_FORWARD)


# -- vocabularies -------------------------------------------------------------------------------

_MERGES = ("Ġ t", "h e", "Ġt he", "i n", "a n", "Ġ a", "e r", "o n")
_PIECES = ("▁the", "▁th", "▁a", "▁t", "he", "in", "an", "er", "on")


def _byte_level(
    model: _Model,
    template: str | None,
    size: int | None = None,
    names_ends: bool = True,
    recited: str = "",
) -> None:
    """GPT-2's kind of vocabulary: bytes, a few merges, ChatML's control tokens, padding, lines."""
    symbols = _byte_symbols()
    tokens = [*symbols, *(merge.replace(" ", "") for merge in _MERGES)]
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    first = len(tokens)
    padding = [f"Ġword{n}" for n in range(first + len(control), size or 0)]
    types = [TokenType.NORMAL] * first
    types += [TokenType.CONTROL] * len(control) + [TokenType.NORMAL] * len(padding)
    lines = ["".join(symbols[byte] for byte in line.encode()) for line in recited.splitlines(True)]
    if lines:  # behind the line feed that a prompt ends with
        model.chain = [ord("\n"), *range(len(types), len(types) + len(lines)), first + 2]
    types += [TokenType.NORMAL] * len(lines)
    writer = model.writer
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_merges(_MERGES)
    writer.add_add_bos_token(not names_ends)
    writer.add_add_space_prefix(False)
    _vocabulary(model, tokens + control + padding + lines, types, template)
    if names_ends:
        writer.add_bos_token_id(first)
        writer.add_eos_token_id(first + 2)


def _sentencepiece(
    model: _Model,
    template: str,
    *,
    bos: str,
    eos: str,
    more_control: Sequence[str] = (),
    add_space_prefix: bool,
) -> None:
    """SentencePiece's kind: characters and pieces with scores, bytes for all that is left."""
    control = [bos, eos, *more_control]
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = [*_PIECES, "▁", "\n", *map(chr, range(ord("!"), ord("~") + 1))]
    types = [TokenType.UNKNOWN] + [TokenType.CONTROL] * len(control)
    types += [TokenType.BYTE] * len(fallback) + [TokenType.NORMAL] * len(pieces)
    scores = [0.0] * (len(types) - len(pieces)) + [-float(rank) for rank in range(len(pieces))]
    writer = model.writer
    writer.add_tokenizer_model("llama")
    writer.add_token_scores(scores)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(add_space_prefix)
    _vocabulary(model, ["<unk>", *control, *fallback, *pieces], types, template)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _vocabulary(
    model: _Model, tokens: Sequence[str], types: Sequence[TokenType], template: str | None
) -> None:
    model.token_types = types
    model.writer.add_token_list(tokens)
    model.writer.add_token_types(types)
    if template is not None:
        model.writer.add_chat_template(template)


def _byte_symbols() -> list[str]:
    """GPT-2's stand-ins for 0 to 255: what Latin-1 prints as it is, the rest from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    stand_ins = itertools.count(0x100)
    return [chr(byte if byte in printable else next(stand_ins)) for byte in range(256)]
