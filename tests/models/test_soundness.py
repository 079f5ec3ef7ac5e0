"""Headers over which llama.cpp would end the engine are refused, others are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError
from models.inspection import inspect
from tests.torture.gguf_bytes import Model, Tensor, Value, taken_apart
from tests.torture.mutations import WRITERS, original

F32, F16, Q4_0, F64, I32 = 0, 1, 2, 28, 26
Change = Callable[[Model], object]


def changed(writer: int, change: Change, folder: Path) -> Path:
    """A tiny model of the kind that the writer of that number writes, after a change."""
    model = taken_apart(original(WRITERS[writer]))
    change(model)
    path = folder / "model.gguf"
    path.write_bytes(bytes(model))
    return path


def said(key: str, value: float | str, kind: int = 4) -> Change:
    """What stands under a key; kind: 4 for whole numbers, 6 for others, 8 for texts."""

    def change(model: Model) -> None:
        kept = [(name, known) for name, known in model.metadata if name != key.encode()]
        told = value.encode() if isinstance(value, str) else value
        model.metadata = [*kept, (key.encode(), Value(kind, told))]

    return change


def typed(name: str, kind: int, bytes_a_number: float) -> Change:
    """A tensor has another type, and data for it."""

    def change(model: Model) -> None:
        tensor = tensor_of(model, name)
        tensor.kind, tensor.data = kind, bytes(int(math.prod(tensor.shape) * bytes_a_number))

    return change


def tensor_of(model: Model, name: str) -> Tensor:
    return next(tensor for tensor in model.tensors if tensor.name == name.encode())


def without(name: str) -> Change:
    return lambda model: model.tensors.remove(tensor_of(model, name))


def named(*tokens: bytes) -> Change:
    """The first tokens of the vocabulary are these."""

    def change(model: Model) -> None:
        known = dict(model.metadata)[b"tokenizer.ggml.tokens"].value
        assert isinstance(known, list)
        known[: len(tokens)] = tokens

    return change


@pytest.mark.parametrize("writer", range(len(WRITERS)))
def test_what_can_be_loaded_is_not_refused(writer: int, tmp_path: Path) -> None:
    inspect(changed(writer, lambda _: None, tmp_path))


LLAMA, SENTENCEPIECE, QWEN, PHI, GPT_OSS, MAMBA, HYBRID, WINDOW = 0, 1, 2, 4, 5, 6, 7, 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("writer", "change", "reason"),
    [
        (LLAMA, said("llama.block_count", 0), "it claims 0 layers"),
        (MAMBA, said("mamba.block_count", 65_535), "it claims 65,535 layers"),
        (LLAMA, said("llama.attention.layer_norm_rms_epsilon", -1.0, 6), "rms_epsilon is -1.0"),
        (LLAMA, said("llama.attention.layer_norm_rms_epsilon", math.nan, 6), "epsilon is nan"),
        (LLAMA, said("llama.attention.layer_norm_epsilon", math.inf, 6), "norm_epsilon is inf"),
        (LLAMA, said("llama.rope.scaling.type", "none at all", 8), "scale positions"),
        (
            LLAMA,
            said("llama.attention.value_length", 64),
            "keys have 16 numbers, and its values 64",
        ),
        (GPT_OSS, said("gpt-oss.attention.value_length", 64), "puts out 256 numbers, not 64"),
        (GPT_OSS, said("gpt-oss.attention.key_length", 1), "it turns 16 of 1 numbers of a key"),
        (GPT_OSS, said("gpt-oss.attention.key_length", 32), "queries have 128 numbers, not 64"),
        (PHI, said("phi3.rope.dimension_count", 18), "it turns 18 of 16 numbers of a key"),
        (PHI, said("phi3.rope.dimension_count", 15), "it turns 15 of 16 numbers of a key"),
        (QWEN, said("qwen2.rope.dimension_count", 8), "it turns 8 of 16 numbers of a key"),
        (PHI, said("phi3.rope.dimension_count", 0), "it turns none of the numbers of its keys"),
        (HYBRID, said("lfm2.rope.dimension_count", 0), "it turns none of the numbers"),
        (WINDOW, said("gemma3.rope.dimension_count_swa", 0), "it turns none of the numbers"),
        (PHI, without("blk.1.attn_qkv.weight"), "its layer 1 has no attention"),
        (PHI, said("phi3.block_count", 3), "its layer 2 has no attention"),
        (MAMBA, typed("blk.1.ssm_a", F16, 2), "ssm_a' cannot have the type F16"),
        (MAMBA, typed("blk.0.ssm_conv1d.weight", F16, 2), "cannot have the type F16"),
        (HYBRID, typed("blk.0.shortconv.conv.weight", F16, 2), "cannot have the type F16"),
        (GPT_OSS, typed("blk.0.attn_sinks.weight", F16, 2), "cannot have the type F16"),
        (SENTENCEPIECE, said("tokenizer.ggml.model", "bert", 8), "are those of an encoder"),
        (WINDOW, said("gemma3.attention.sliding_window_pattern", 1), "no layer that uses it"),
        (GPT_OSS, said("gpt-oss.expert_count", 1), "it uses 2 of 1 experts"),
        (GPT_OSS, said("gpt-oss.expert_count", 2_000), "it claims 2,000 experts"),
        (GPT_OSS, said("gpt-oss.expert_used_count", 0), "it uses 0 of 4 experts"),
        (GPT_OSS, said("gpt-oss.expert_group_count", 3), "it has 3 groups of 4 experts"),
        (LLAMA, said("llama.expert_used_count", 2), "it uses 2 of 0 experts"),
        (LLAMA, typed("blk.0.attn_q.weight", F64, 8), "attn_q.weight' cannot have the type F64"),
        (LLAMA, typed("blk.1.ffn_down.weight", I32, 4), "cannot have the type I32"),
        (LLAMA, typed("token_embd.weight", I32, 4), "cannot have the type I32"),
        (LLAMA, typed("blk.0.attn_norm.weight", Q4_0, 18 / 32), "cannot have the type Q4_0"),
        (LLAMA, typed("output_norm.weight", F16, 2), "cannot have the type F16"),
        (GPT_OSS, typed("blk.0.ffn_gate_exps.bias", Q4_0, 18 / 32), "cannot have the type Q4_0"),
        (LLAMA, named(b"a\0b", b"a\0c", b"", b"!"), "token b'a' appears twice"),
        (LLAMA, named(b"[EMPTY_1]", b""), r"token b'\[EMPTY_1\]' appears twice"),
        (LLAMA, named(b"[EMPTY_1]", b"\0x"), r"token b'\[EMPTY_1\]' appears twice"),
        (SENTENCEPIECE, named(*(b"number %d" % n for n in range(9))), "no token for the byte 0x00"),
    ],
)
def test_what_would_end_the_engine_is_refused_in_a_sentence(
    writer: int, change: Change, reason: str, tmp_path: Path
) -> None:
    path = changed(writer, change, tmp_path)
    with pytest.raises(NotUsableError, match=reason) as raised:
        inspect(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("writer", "change"),
    [
        (LLAMA, typed("blk.0.attn_q.weight", F16, 2)),
        (LLAMA, typed("token_embd.weight", Q4_0, 18 / 32)),
        (LLAMA, said("llama.rope.scaling.type", "yarn", 8)),
        (LLAMA, said("llama.attention.value_length", 16)),
        (GPT_OSS, said("gpt-oss.expert_group_count", 2)),
        (GPT_OSS, said("gpt-oss.expert_used_count", 4)),
        (LLAMA, named(b"", b"\0")),
        (
            SENTENCEPIECE,
            named(b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % n for n in range(65)), b"a A"),
        ),
    ],
)
def test_what_is_unusual_is_not_refused(writer: int, change: Change, tmp_path: Path) -> None:
    inspect(changed(writer, change, tmp_path))
