"""Looking into a GGUF file: what the model in it is.

A path goes in, a ModelCard comes out; everything is read off the header (see header.py), of all
parts where a model is split over several files. What is installed, and what a model takes of a
machine's memory (see memory.py), is not known here.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from amulet_local.errors import NotUsableError
from amulet_local.protocol.numbers import MOST_WHOLE
from amulet_local.system import paths
from models.cards import Kind, ModelCard, Shape, file_title, part_paths, printable
from models.gguf_constants import GGUFType, Keys, LlamaFileType
from models.header import Header, Omitted, Tensor, Value, read_header
from models.soundness import contradiction

_TYPES: dict[str, Kind] = {
    GGUFType.ADAPTER: "adapter",
    GGUFType.MMPROJ: "projector",
    GGUFType.IMATRIX: "other",
}
_ARCHITECTURES: dict[str, Kind] = {
    "clip": "projector",
    "gemma-embedding": "embedding",
    "llama-embed": "embedding",
    "t5encoder": "embedding",
    "t5": "encoder-decoder",
    "dream": "diffusion",
    "llada": "diffusion",
    "llada-moe": "diffusion",
    "rnd1": "diffusion",
}

_PROJECTOR = ("v.", "mm.", "a.")  # what its tensors' names begin with
_F32_BYTES = 4


def inspect(path: Path, *, compare_tokens: bool = True) -> ModelCard:
    """The card of the model in a file, or in several, of which the first is named.

    compare_tokens: see read_header; a file that is to be loaded needs it. Raises NotUsableError
    where a file is missing or damaged (see read_header), is a later part of a split model, or is
    one that would end the engine (see soundness.py).
    """
    headers = _parts(read_header(path, compare_tokens=compare_tokens))
    tensors = [tensor for header in headers for tensor in header.tensors]
    parameters = sum(tensor.elements for tensor in tensors)
    fields = _Fields(headers[0])
    kind = _kind(fields, tensors)
    if kind == "chat" and (reason := contradiction(fields.value, fields.architecture, tensors)):
        raise NotUsableError(
            f"{path} contradicts itself ({reason}); fetch it again, or choose another file."
        )
    return ModelCard(
        path=path,
        kind=kind,
        name=fields.text(Keys.General.NAME) or file_title(path),
        family=fields.text(Keys.General.BASENAME) or fields.architecture,
        architecture=fields.architecture,
        parameters=parameters,
        quantisation=_quantisation(fields, tensors),
        size=sum(header.file_size for header in headers),
        weights=sum(tensor.size for tensor in tensors),
        context_trained=fields.number(Keys.LLM.CONTEXT_LENGTH),
        layers=fields.number(Keys.LLM.BLOCK_COUNT),
        vocabulary=fields.count(Keys.Tokenizer.LIST),
        window=fields.number(Keys.Attention.SLIDING_WINDOW),
        template=bool(fields.text(Keys.Tokenizer.CHAT_TEMPLATE)),
        licence=fields.text(Keys.General.LICENSE),
        shape=_shape(fields, tensors, parameters),
    )


# -- split models ---------------------------------------------------------------------------------


def _parts(header: Header) -> list[Header]:
    """The headers of all files of a model. llama.cpp finds them by name, so they are held to it."""
    path, fields = header.path, _Fields(header)
    count = fields.number(Keys.Split.LLM_KV_SPLIT_COUNT)
    if count < 2:
        return [header]
    number = fields.number(Keys.Split.LLM_KV_SPLIT_NO) + 1
    files = part_paths(path)
    if len(files) != count or path not in files[number - 1 : number]:
        raise NotUsableError(
            f"{path} is part {number} of {count} of a split model, which needs the standard "
            f"name; rename it SOMETHING-{number:05}-of-{count:05}.gguf, like the other parts."
        )
    missing = next((part for part in files if not paths.exists(part)), None)
    if missing:
        raise NotUsableError(
            f"{path} is part {number} of {count} of a split model, but {missing.name} is not "
            "in the same folder; fetch or copy the missing parts there."
        )
    if number > 1:
        raise NotUsableError(
            f"{path} is part {number} of {count} of a split model; use the first part instead: "
            f"{files[0]}"
        )
    return [header, *map(read_header, files[1:])]


# -- reading the metadata -------------------------------------------------------------------------


class _Fields:
    """A header's metadata by key; a value that is missing, or of the wrong type, counts as none."""

    def __init__(self, header: Header) -> None:
        self._metadata = header.metadata
        self.architecture = self.text(Keys.General.ARCHITECTURE)

    def value(self, key: str) -> Value | None:
        """Whatever stands there."""
        return self._metadata.get(key.format(arch=self.architecture))

    def text(self, key: str) -> str:
        """A text, safe to print."""
        value = self._metadata.get(key)
        return printable(value) if isinstance(value, str) else ""

    def numbers(self, key: str) -> list[int]:
        """A natural number, or several where every layer has its own; none that llama.cpp could
        not count to."""
        value = self.value(key)
        values = value if isinstance(value, tuple) else (value,)
        return [n for n in values if type(n) is int and 0 <= n <= MOST_WHOLE]

    def number(self, key: str) -> int:
        """A natural number; the largest of several."""
        return max(self.numbers(key), default=0)

    def count(self, key: str) -> int:
        """How many strings an array has."""
        value = self._metadata.get(key)
        return value.count if isinstance(value, Omitted) else 0


def _kind(fields: _Fields, tensors: list[Tensor]) -> Kind:
    declared = _TYPES.get(fields.text(Keys.General.TYPE))
    known = declared or _ARCHITECTURES.get(fields.architecture)
    if known:
        return known
    if "bert" in fields.architecture or fields.number(Keys.LLM.POOLING_TYPE):
        return "embedding"
    if not fields.architecture or not fields.count(Keys.Tokenizer.LIST):
        return "other"
    if not tensors:
        return "vocabulary"
    return "bundle" if any(tensor.name.startswith(_PROJECTOR) for tensor in tensors) else "chat"


def _quantisation(fields: _Fields, tensors: list[Tensor]) -> str:
    """What the file calls it (a mixture has a name of its own), else its most common type."""
    for number in fields.numbers(Keys.General.FILE_TYPE):
        if number in LlamaFileType.__members__.values():
            return LlamaFileType(number).name.removeprefix("MOSTLY_").removeprefix("ALL_")
    elements: Counter[str] = Counter()
    for tensor in tensors:
        elements[tensor.type.name] += tensor.elements
    return max(elements, key=elements.__getitem__, default="")


def _shape(fields: _Fields, tensors: list[Tensor], parameters: int) -> Shape:
    packed: Counter[str] = Counter()
    for tensor in tensors:
        if tensor.name.startswith(("blk.", "output.weight")):
            packed[tensor.type.name] += tensor.size
    experts = max(1, fields.number(Keys.LLM.EXPERT_USED_COUNT))
    return Shape(
        kv_numbers=_kv_numbers(fields, parameters),
        state=_state(fields, tensors, parameters),
        width=fields.number(Keys.LLM.EMBEDDING_LENGTH),
        feed_forward=max(
            fields.number(Keys.LLM.FEED_FORWARD_LENGTH),
            min(fields.number(Keys.LLM.EXPERT_FEED_FORWARD_LENGTH) * experts, MOST_WHOLE),
        ),
        heads=fields.number(Keys.Attention.HEAD_COUNT),
        merges=fields.count(Keys.Tokenizer.MERGES),
        q4=sum(packed[kind] for kind in ("Q4_0", "Q4_K", "IQ4_NL")),
        other_k=sum(packed[kind] for kind in ("Q5_K", "Q6_K", "Q8_0")),
    )


def _kv_numbers(fields: _Fields, parameters: int) -> int:
    """By the numbers in the header, unless they cannot be: each number in the cache takes at least
    one weight to compute."""
    heads = fields.number(Keys.Attention.HEAD_COUNT)
    kv_heads = fields.numbers(Keys.Attention.HEAD_COUNT_KV) or [heads]
    shared = fields.number(
        Keys.Attention.SHARED_KV_LAYERS
    )  # the last layers, with none of their own
    if len(kv_heads) == 1:
        # In some hybrids every so many layers have attention, the others a state.
        every = max(1, fields.number(Keys.LLM.FULL_ATTENTION_INTERVAL))
        layers = fields.number(Keys.LLM.BLOCK_COUNT) // every
        in_all = kv_heads[0] * max(0, layers - shared)
    else:
        in_all = sum(kv_heads[: max(0, len(kv_heads) - shared)])
    head_length = fields.number(Keys.LLM.EMBEDDING_LENGTH) // max(heads, 1)
    key_length = fields.number(Keys.Attention.KEY_LENGTH) or head_length
    value_length = fields.number(Keys.Attention.VALUE_LENGTH) or head_length
    numbers = in_all * (key_length + value_length)
    return numbers if numbers <= parameters else 0


def _state(fields: _Fields, tensors: list[Tensor], parameters: int) -> int:
    """What state-space layers and short convolutions carry along, as float32."""
    inner, kernel = fields.number(Keys.SSM.INNER_SIZE), fields.number(Keys.SSM.CONV_KERNEL)
    groups = fields.number(Keys.SSM.GROUP_COUNT)
    size = fields.number(Keys.SSM.STATE_SIZE)
    layers = sum(
        tensor.name.endswith((".ssm_out.weight", ".ssm_norm.weight")) for tensor in tensors
    )
    layers = min(layers, fields.number(Keys.LLM.BLOCK_COUNT))
    numbers = layers * (inner * size + max(0, kernel - 1) * (inner + 2 * groups * size))
    cache = fields.number(Keys.ShortConv.L_CACHE)
    short = sum(tensor.name.endswith(".shortconv.conv.weight") for tensor in tensors)
    numbers += short * max(0, cache - 1) * fields.number(Keys.LLM.EMBEDDING_LENGTH)
    numbers = numbers if numbers <= parameters else 0
    return numbers * _F32_BYTES
