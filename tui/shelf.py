"""Where the chat gets its model: found by name, or the default one fetched.

Finding and fetching block and belong on a thread. What they need is imported when they run, so that
the prompt is there before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amulet_local.errors import AmuletError, NotUsableError
from amulet_local.protocol import LoadOptions, Memory
from amulet_local.settings import models_folder
from models.catalogue import default
from tui.changes import ChosenModel, Steering
from tui.text import sentence

if TYPE_CHECKING:
    from models.download import Progress

_QUESTION = "What makes a good walking holiday?"


def find_model(name: str) -> ChosenModel:
    """The model of a name or path, its header checked; "" is the default model.

    Raises NotUsableError where there is none, or it is damaged or no chat model.
    """
    from models import inspection, library

    try:
        path = library.resolve(name)
    except library.NoModelError as error:  # its commands are for a command line
        raise (error if name else NotUsableError("no model is chosen yet.")) from error
    card = inspection.inspect(path)
    inspection.require_chat_model(card)
    return ChosenModel(path, _without(card.quantisation, path.stem), card.quantisation)


def has_default() -> bool:
    """Whether the default model is here, by the size of its file."""
    from models.download import is_complete

    return is_complete(models_folder() / default().file, default())


def fetch_default(on_progress: Callable[[Progress], object], cancelled: Callable[[], bool]) -> Path:
    """Fetch the default model; raises AmuletError as models.download.fetch does."""
    from models.download import fetch

    return fetch(default(), on_progress, cancelled)


def needs_of(path: str, options: LoadOptions) -> tuple[Memory, ...]:
    """What a model takes with so much context, and with less (see models.memory.needs_of)."""
    from models import memory

    return memory.needs_of(path, options)


@dataclass(frozen=True)
class ShelfModel:
    """A model on this disk. label: what to call it, with its quantisation; card: what there is to
    know before it is loaded, in lines; fits: whether there is memory for it."""

    path: str
    label: str
    card: str
    fits: bool


def list_models(options: LoadOptions) -> list[ShelfModel]:
    """All chat models on this disk, and what they would take. Raises AmuletError."""
    from rich.filesize import decimal

    from models import library, memory, quantising

    free = memory.free_memory()
    found = []
    for model in library.listing(options=options).models:
        card, needed = model.card, model.memory
        known = [
            f"{card.architecture or 'unknown'}, {card.parameters:,} parameters",
            f"{decimal(card.size)} on disk · trained for {card.context_trained:,} tokens",
            f"chat template: {'yes' if card.template else 'no'} · "
            f"licence: {card.licence or 'not stated'}",
            f"kept by {model.program}: {card.path}",
        ]
        takes = [
            f"Takes about {decimal(needed.total)} for two streams of {needed.context:,} tokens "
            f"(weights {decimal(needed.weights + needed.repacked)}, KV {decimal(needed.kv)}, "
            f"compute {decimal(needed.compute)}); {decimal(free)} are free.",
            memory.memory_advice(card, options, free),
            quantising.faster_type(card, options),
        ]
        text = "\n".join([*known, "", *filter(None, takes)])
        label = f"{_without(card.quantisation, model.name)} {card.quantisation}"
        found.append(ShelfModel(str(model.path), label, text, model.fits))
    return found


def show_prompts(path: str, steering: Steering) -> str:
    """What a model sees without the preference and with it; why not, where that cannot be shown."""
    from amulet_local.prompting import DEFAULT_SYSTEM
    from models.preview import preview

    system = steering.system or DEFAULT_SYSTEM
    words = steering.preference or "(your preference)"
    try:
        shown = preview(Path(path), _QUESTION, words, system=system, placement=steering.placement)
    except AmuletError as error:
        return sentence(str(error))
    parts = ["Without the preference it sees:", shown.base, "With it:", shown.preference]
    return "\n\n".join(filter(None, [shown.problem, *parts]))


@dataclass(frozen=True)
class Shelf:
    """All of these, so that tests can put others in their place."""

    find: Callable[[str], ChosenModel] = find_model
    has_default: Callable[[], bool] = has_default
    fetch: Callable[[Callable[[Progress], object], Callable[[], bool]], Path] = fetch_default
    models: Callable[[LoadOptions], Sequence[ShelfModel]] = list_models
    prompts: Callable[[str, Steering], str] = show_prompts


def _without(quantisation: str, stem: str) -> str:
    """A file's name without its quantisation, which is shown by itself."""
    name, mark = stem[: -len(quantisation) - 1], stem[-len(quantisation) :]
    return name if name and mark.casefold() == quantisation.casefold() else stem
