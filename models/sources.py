"""Which file of a model to make copies from: the one whose weights were rounded least.

Cards go in, one comes out. Two files hold the same model if their headers agree and their norms,
which no quantisation touches, are the same to the last bit: names are given too freely.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from amulet_local.errors import NotUsableError
from models.cards import ModelCard
from models.gguf_constants import GGMLQuantizationType
from models.header import read_header
from models.quantisation import bits, plain_stem

_NORM = "norm.weight"
_MOST_BYTES = 1 << 24  # of all norms of a file; the largest models have a few MB


def best_source(card: ModelCard, others: Iterable[ModelCard]) -> ModelCard:
    """The file of this model with the most bits a weight, among these and its own."""
    better = [each for each in others if bits(each.quantisation) > bits(card.quantisation)]
    for each in sorted(better, key=lambda other: -bits(other.quantisation)):
        if _says_the_same(card, each) and _has_the_same_norms(card.path, each.path):
            return each
    return card


def _says_the_same(one: ModelCard, other: ModelCard) -> bool:
    named = one.name == other.name or plain_stem(one.path) == plain_stem(other.path)
    return named and all(
        getattr(one, field) == getattr(other, field)
        for field in ("kind", "architecture", "parameters", "layers", "vocabulary")
    )


def _has_the_same_norms(one: Path, other: Path) -> bool:
    """Of split models, by what is in both first files."""
    try:
        ours, theirs = _norms(one), _norms(other)
    except (NotUsableError, OSError):
        return False
    common = ours.keys() & theirs.keys()
    return bool(common) and all(ours[name] == theirs[name] for name in common)


def _norms(path: Path) -> dict[str, bytes]:
    header = read_header(path, compare_tokens=False)
    norms, left = {}, _MOST_BYTES
    with path.open("rb") as file:
        for tensor in header.tensors:
            plain = tensor.type == GGMLQuantizationType.F32 and len(tensor.shape) == 1
            if plain and tensor.name.endswith(_NORM) and tensor.size <= left:
                file.seek(header.data_offset + tensor.offset)
                norms[tensor.name] = file.read(tensor.size)
                left -= tensor.size
    return norms
