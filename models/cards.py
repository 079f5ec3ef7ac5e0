"""What a model is, once its file was looked into: its card, and the words for it.

Plain values and text; how they are read off a file is known to inspection.py alone, so that a list
of cards that are kept needs nothing of what reads headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, TypeVar

from amulet_local.errors import NotUsableError
from amulet_local.path_text import as_text, encodable
from amulet_local.runtime.llama.build import knows_architecture

AnyPath = TypeVar("AnyPath", bound=PurePath)
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
    "projector": "a projector (the part of a model that handles images or sound)",
    "embedding": "an embedding model (it turns text into vectors)",
    "encoder-decoder": "an encoder-decoder model (it translates or summarises)",
    "diffusion": "a diffusion model (it does not write token by token)",
    "adapter": "an adapter (it modifies another model)",
    "bundle": "a model and its projector in one file (llama.cpp needs them in two)",
    "vocabulary": "a vocabulary without model weights",
    "other": "not a language model",
}

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_MOST_PARTS = 1_000  # of a model; a name may claim a hundred times as many
_LONGEST_TEXT = 80
_WHOSE = re.compile(r"//[^/\s]*@")


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


def obstacle(card: ModelCard) -> str:
    """What keeps one from chatting with a model, said of its file; "" for nothing."""
    if card.kind != "chat":
        return f"is {_DESCRIPTIONS[card.kind]}"
    if not knows_architecture(card.architecture):
        return (
            f"needs a newer llama.cpp: the installed one does not support its architecture, "
            f"{card.architecture!r}"
        )
    return ""


def require_chat_model(card: ModelCard) -> None:
    """Raises NotUsableError, saying what is in the way, where one cannot chat with a model."""
    if card.kind != "chat":
        raise NotUsableError(
            f"{card.path} {obstacle(card)}, not a chat model; choose "
            "another file, or fetch the default model with: amulet models pull default"
        )
    if reason := obstacle(card):
        raise NotUsableError(f"{card.path} {reason}; update Amulet, or choose another model.")


def printable(text: str) -> str:
    """Text from outside as one line of at most 80 characters, none of which steers a terminal;
    without the password that an address in it may have."""
    shown = encodable(without_password(text))[: _LONGEST_TEXT + 1]
    shown = "".join(character if character.isprintable() else " " for character in shown).strip()
    return shown if len(shown) <= _LONGEST_TEXT else f"{shown[: _LONGEST_TEXT - 1]}…"


def without_password(text: str) -> str:
    """The same, but that addresses in it have neither a user's name nor a password."""
    return _WHOSE.sub("//", text)


def file_title(path: Path) -> str:
    """What to call a model by its file alone: safe to print, a split one without its number."""
    match = _PART.fullmatch(path.name)
    return printable(as_text(match["stem"] if match else path.stem))


def part_paths(path: AnyPath) -> list[AnyPath]:
    """The files of the model that a file belongs to, going by its name; itself if not split."""
    match = _PART.fullmatch(path.name)
    if not match or int(match["count"]) > _MOST_PARTS:
        return [path]
    stem, count = match["stem"], int(match["count"])
    paths = [
        path.with_name(f"{stem}-{number:05}-of-{count:05}{path.suffix}")
        for number in range(1, count + 1)
    ]
    return paths if path in paths else [path]
