"""What a GGUF file is: its card, and whether one can chat with it.

A path goes in, a ModelCard comes out; everything is read off the header (see header.py), of all
parts where a model is split over several files. What is installed, and what a model takes of a
machine's memory (see memory.py), is not known here.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gguf.constants import GGUFType, Keys, LlamaFileType

from amulet_local.errors import NotUsableError
from models.header import Header, Omitted, Tensor, read_header

Kind = Literal[
    "chat",
    "projector",
    "embedding",
    "encoder-decoder",
    "diffusion",
    "adapter",
    "bundle",
    "vocabulary",
    "other",
]

_DESCRIPTIONS: dict[Kind, str] = {
    "projector": "a projector (the part of a model that sees or hears)",
    "embedding": "an embedding model (it turns text into vectors)",
    "encoder-decoder": "an encoder-decoder model (it translates or sums up)",
    "diffusion": "a diffusion model (it does not write token by token)",
    "adapter": "an adapter (it changes another model)",
    "bundle": "a model and its projector in one file (llama.cpp reads them from two)",
    "vocabulary": "a vocabulary without the weights of a model",
    "other": "not a language model",
}

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

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_PROJECTOR = ("v.", "mm.", "a.")  # what its tensors' names begin with
_F32_BYTES = 4
_LONGEST_TEXT = 80


@dataclass(frozen=True)
class Shape:
    """What a model's memory follows from; 0 where the file does not say.

    kv_numbers: keys and values that the cache holds for a token, over all layers.
    state: bytes that a stream has whatever its length (recurrent models).
    width, feed_forward: numbers a token has between layers, and at most inside one.
    heads: of attention, in the layer with the most. merges: of the vocabulary.
    q4, other_k: bytes of weights in types that CPUs may keep a second time in an order of their
    own; the former on all of them, the latter on ARM.
    """

    kv_numbers: int = 0
    state: int = 0
    width: int = 0
    feed_forward: int = 0
    heads: int = 0
    merges: int = 0
    q4: int = 0
    other_k: int = 0


@dataclass(frozen=True)
class ModelCard:
    """What a model is, in the words of its file; its text is safe to print.

    path: of its first file. size, weights: bytes of its files, and of the tensors in them.
    family: what the model is one of several sizes of. context_trained: in tokens. window: tokens
    that layers with a sliding window look back. Numbers are 0 and text is empty where the file does
    not say.
    """

    path: Path
    kind: Kind
    name: str
    family: str
    architecture: str
    parameters: int
    quantisation: str
    size: int
    weights: int
    context_trained: int
    layers: int
    vocabulary: int
    window: int
    template: bool
    licence: str
    shape: Shape


def inspect(path: Path, *, compare_tokens: bool = True) -> ModelCard:
    """The card of the model in a file, or in several, of which the first is named.

    compare_tokens: see read_header; a file that is to be loaded needs it. Raises NotUsableError
    where a file is missing or damaged (see read_header), or is a later part of a split model.
    """
    headers = _parts(read_header(path, compare_tokens=compare_tokens))
    tensors = [tensor for header in headers for tensor in header.tensors]
    parameters = sum(tensor.elements for tensor in tensors)
    fields = _Fields(headers[0])
    return ModelCard(
        path=path,
        kind=_kind(fields, tensors),
        name=fields.text(Keys.General.NAME) or printable(path.stem),
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


def description(kind: Kind) -> str:
    """What a file is that one cannot chat with, in words."""
    return _DESCRIPTIONS[kind]


def require_chat_model(card: ModelCard) -> None:
    """Raises NotUsableError, saying what the model is, where one cannot chat with it."""
    if card.kind != "chat":
        raise NotUsableError(
            f"{card.path} is {_DESCRIPTIONS[card.kind]}, and a chat needs a chat model; choose "
            "another file, or fetch the default model with: amulet models pull default"
        )


def printable(text: str) -> str:
    """Text from outside as one line of at most 80 characters, none of which steers a terminal."""
    shown = text[: _LONGEST_TEXT + 1]
    shown = "".join(character if character.isprintable() else " " for character in shown).strip()
    return shown if len(shown) <= _LONGEST_TEXT else f"{shown[: _LONGEST_TEXT - 1]}…"


# -- split models ---------------------------------------------------------------------------------


def part_paths(path: Path) -> list[Path]:
    """The files of the model that a file belongs to, going by its name; itself if not split."""
    match = _PART.fullmatch(path.name)
    if not match:
        return [path]
    stem, count = match["stem"], int(match["count"])
    paths = [
        path.with_name(f"{stem}-{number:05}-of-{count:05}{path.suffix}")
        for number in range(1, count + 1)
    ]
    return paths if path in paths else [path]


def _parts(header: Header) -> list[Header]:
    """The headers of all files of a model. llama.cpp finds them by name, so they are held to it."""
    path, fields = header.path, _Fields(header)
    count = fields.number(Keys.Split.LLM_KV_SPLIT_COUNT)
    if count < 2:
        return [header]
    number = fields.number(Keys.Split.LLM_KV_SPLIT_NO) + 1
    paths = part_paths(path)
    if len(paths) != count or path not in paths[number - 1 : number]:
        raise NotUsableError(
            f"{path} is part {number} of {count} of a split model, which loads under its own name "
            f"only; name it SOMETHING-{number:05}-of-{count:05}.gguf, like the other parts."
        )
    missing = next((part for part in paths if not part.exists()), None)
    if missing:
        raise NotUsableError(
            f"{path} is part {number} of {count} of a split model, but {missing.name} is not "
            "beside it; fetch or copy the missing parts into the same folder."
        )
    if number > 1:
        raise NotUsableError(
            f"{path} is part {number} of {count} of a split model; name the first part instead: "
            f"{paths[0]}"
        )
    return [header, *map(read_header, paths[1:])]


# -- reading the metadata -------------------------------------------------------------------------


class _Fields:
    """A header's metadata by key; a value that is missing, or of the wrong type, counts as none."""

    def __init__(self, header: Header) -> None:
        self._metadata = header.metadata
        self.architecture = self.text(Keys.General.ARCHITECTURE)

    def text(self, key: str) -> str:
        """A text, safe to print."""
        value = self._metadata.get(key)
        return printable(value) if isinstance(value, str) else ""

    def numbers(self, key: str) -> list[int]:
        """A natural number, or several where every layer has its own."""
        value = self._metadata.get(key.format(arch=self.architecture))
        values = value if isinstance(value, tuple) else (value,)
        return [n for n in values if isinstance(n, int) and not isinstance(n, bool) and n >= 0]

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
            fields.number(Keys.LLM.EXPERT_FEED_FORWARD_LENGTH) * experts,
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
