"""Where the chat gets its model: found by name, or the default one fetched.

Finding and fetching block and belong on a thread. What they need is imported when they run, so that
the prompt is there before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amulet_local.protocol import LoadOptions, Memory
from amulet_local.settings import models_folder
from models.catalogue import default
from tui.changes import ChosenModel

if TYPE_CHECKING:
    from models.download import Progress


def find_model(name: str) -> ChosenModel:
    """The model of a name or path, its header checked; "" is the default model.

    Raises NotUsableError where there is none, or it is damaged or no chat model.
    """
    from models import inspection, library

    path = library.resolve(name)
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
class Shelf:
    """The three, so that tests can put others in their place."""

    find: Callable[[str], ChosenModel] = find_model
    has_default: Callable[[], bool] = has_default
    fetch: Callable[[Callable[[Progress], object], Callable[[], bool]], Path] = fetch_default


def _without(quantisation: str, stem: str) -> str:
    """A file's name without its quantisation, which is shown by itself."""
    name, mark = stem[: -len(quantisation) - 1], stem[-len(quantisation) :]
    return name if name and mark.casefold() == quantisation.casefold() else stem
