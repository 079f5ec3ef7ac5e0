"""What a header must not say of a chat model, since llama.cpp ends the process over it.

The numbers and tensors of a header go in, and why the model cannot be loaded comes out. What
llama.cpp refuses by itself, with a reason, is left to it; these are its assertions that hold for
all architectures, and types that its multiplications and additions do not have.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeGuard

from models.gguf_constants import Keys
from models.header import Tensor, Value

_MOST_LAYERS = 512
_MOST_EXPERTS = 1024
_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")

# Integers, doubles, and what numbers become only while they are multiplied.
_NO_WEIGHTS = frozenset(("I8", "I16", "I64", "F64", "Q8_1", "Q8_K"))
_NO_WEIGHT = "I32"
_TABLES = ("tid2eid",)  # of integers
# What is added to numbers that are F32, or multiplied with them one by one, and what convolutions,
# scans, rotations and sinks of attention read as F32: by the operations that llama.cpp names for
# its tensors (llama-arch.cpp). Its multiplications of matrices take other types.
_F32_ALONE = re.compile(
    r"(norm(_[12]|_exps)?\.weight|\.bias|\.scale|\.ssm_[ad]"
    r"|\.(ssm_conv1d(_[qkv])?|shortconv\.conv|attn_sinks|layer_output_scale)\.weight"
    r"|\.(altup_correct_scale|(time|channel)_mix_lerp_\w+)\.weight"
    r"|\.time_mix_(first|decay|ln|[wav]0|[kr]_k|k_a)\.weight"
    r"|rope_(freqs|factors_long|factors_short)\.weight)\Z"
)

# Architectures in which all layers have attention, whose queries and values are as wide as all of
# its heads together.
_PLAIN = (
    *("llama", "mistral3", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "phi3", "gemma", "gemma2"),
    *("gemma3", "gpt-oss", "smollm3", "granite", "olmo2", "stablelm", "starcoder2", "internlm2"),
)
# Of those, the ones whose keys llama.cpp asserts to be turned as a whole, and as wide as values.
_WHOLLY_TURNED = (
    *("llama", "mistral3", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "smollm3", "granite", "olmo2"),
    *("starcoder2", "internlm2"),
)
# In which numbers of keys are turned, whatever else there is; none of them would take for ever.
_TURNED = (
    *_PLAIN,
    *("command-r", "cohere2", "deepseek2", "ernie4_5", "exaone4", "falcon-h1", "gemma3n", "gemma4"),
    *("glm4", "glm4moe", "hunyuan-dense", "lfm2", "lfm2moe", "llama4", "olmoe", "phi2", "phimoe"),
    *("qwen3next", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "seed_oss", "smallthinker"),
)
_ROPE_DIMENSIONS = (Keys.Rope.DIMENSION_COUNT, "{arch}.rope.dimension_count_swa")

Get = Callable[[str], Value | None]


def contradiction(get: Get, architecture: str, tensors: Sequence[Tensor]) -> str:
    """Why llama.cpp would end the process over a header; "" for no reason that is known here.

    get: a value of the header by its key.
    """
    return next(_contradictions(get, architecture, tensors), "")


def _contradictions(get: Get, architecture: str, tensors: Sequence[Tensor]) -> Iterator[str]:
    layers = get(Keys.LLM.BLOCK_COUNT)
    if _is_number(layers) and not 0 < layers <= _MOST_LAYERS:
        yield f"it claims {layers:,} layers"
    for key in (Keys.Attention.LAYERNORM_EPS, Keys.Attention.LAYERNORM_RMS_EPS):
        epsilon = get(key)
        if isinstance(epsilon, float) and not 0 <= epsilon < math.inf:
            yield f"{key.format(arch=architecture)} is {epsilon}"
    scaling = get(Keys.Rope.SCALING_TYPE)
    if isinstance(scaling, str) and scaling not in _ROPE_SCALINGS:
        yield "its way to scale positions is not known"
    if get(Keys.Tokenizer.MODEL) == "bert":  # whose bytes llama.cpp does not tell
        yield "its tokens are those of an encoder"
    window, pattern = get(Keys.Attention.SLIDING_WINDOW), get(Keys.Attention.SLIDING_WINDOW_PATTERN)
    if architecture == "gemma3" and window and pattern == 1:  # each first of one sees everything
        yield "it has a sliding window, and no layer that uses it"
    if architecture in _TURNED and 0 in map(get, _ROPE_DIMENSIONS):
        yield "it turns none of the numbers of its keys"
    yield from _of_experts(get, architecture)
    yield from _of_heads(get, architecture, tensors)
    for tensor in tensors:
        yield from _of_type(tensor)


def _of_experts(get: Get, architecture: str) -> Iterator[str]:
    if architecture.startswith("hunyuan"):  # which has them corrected
        return
    experts = get(Keys.LLM.EXPERT_COUNT) or 0
    used, groups = get(Keys.LLM.EXPERT_USED_COUNT) or 0, get(Keys.LLM.EXPERT_GROUP_COUNT) or 0
    if isinstance(used, tuple):  # for each layer
        used = max(filter(_is_number, used), default=0)
    if not (_is_number(experts) and _is_number(used) and _is_number(groups)):
        return
    if experts > _MOST_EXPERTS:
        yield f"it claims {experts:,} experts"
    if not min(experts, 1) <= used <= experts:
        yield f"it uses {used:,} of {experts:,} experts"
    if groups >= max(1, experts) or (groups > 1 and experts % groups):
        yield f"it has {groups:,} groups of {experts:,} experts"
    used_groups = get(Keys.LLM.EXPERT_GROUP_USED_COUNT)
    if groups > 1 and _is_number(used_groups) and not 0 < used_groups < groups:
        yield f"it uses {used_groups:,} of {groups:,} groups of experts"


def _of_heads(get: Get, architecture: str, tensors: Sequence[Tensor]) -> Iterator[str]:
    heads, width = get(Keys.Attention.HEAD_COUNT), get(Keys.LLM.EMBEDDING_LENGTH)
    layers = get(Keys.LLM.BLOCK_COUNT)
    if not (architecture in _PLAIN and _is_number(heads) and _is_number(width) and heads):
        return
    keys, values = get(Keys.Attention.KEY_LENGTH), get(Keys.Attention.VALUE_LENGTH)
    key = keys if _is_number(keys) else width // heads
    value = values if _is_number(values) else width // heads
    said = get(Keys.Rope.DIMENSION_COUNT)
    rotated = said if _is_number(said) else key
    wholly = architecture in _WHOLLY_TURNED
    if rotated > key or rotated % 2 or (wholly and rotated < key):  # they are turned in pairs
        yield f"it turns {rotated:,} of {key:,} numbers of a key"
    if wholly and key != value:
        yield f"its keys have {key:,} numbers, and its values {value:,}"
    for tensor in tensors:
        name, (columns, rows) = tensor.name, (*tensor.shape, 1, 1)[:2]
        if name.endswith(".attn_q.weight") and rows != heads * key:
            yield f"its queries have {heads * key:,} numbers, not {rows:,}"
        if name.endswith(".attn_output.weight") and columns != heads * value:
            yield f"its attention puts out {heads * value:,} numbers, not {columns:,}"
    joined = {tensor.name for tensor in tensors if tensor.name.endswith(".attn_qkv.weight")}
    for layer in range(layers if joined and _is_number(layers) else 0):
        if f"blk.{layer}.attn_qkv.weight" not in joined:
            yield f"its layer {layer} has no attention"


def _of_type(tensor: Tensor) -> Iterator[str]:
    kind, name = tensor.type.name, tensor.name
    is_table = any(table in name for table in _TABLES)
    if (
        (_F32_ALONE.search(name) and kind != "F32")
        or kind in _NO_WEIGHTS
        or (kind == _NO_WEIGHT and not is_table)
    ):
        yield f"its tensor {name!r} cannot have the type {kind}"


def _is_number(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0
