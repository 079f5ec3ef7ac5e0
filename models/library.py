"""The models that are here: listing them wherever they lie, and finding one by what a user types.

Names and paths go in; models, cards and paths come out, or NotUsableError saying what to type
instead. Where to look is known to places.py, how to discovery.py.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from amulet_local.errors import NotUsableError, UsageError, advice, cause
from amulet_local.path_text import as_text, encodable, from_text
from amulet_local.protocol.loading import LoadOptions, Memory
from amulet_local.runtime.device_probe import seen_devices
from amulet_local.runtime.offload import Device, Placing, chosen_devices, free_memory, place
from amulet_local.settings import load_settings, models_folder
from amulet_local.system import paths
from models import catalogue
from models.cards import ModelCard, file_title, obstacle, part_paths, printable
from models.catalogue import Entry, Packaged, is_complete
from models.discovery import Name, Sighting, Unread, look_into
from models.known import KnownModels
from models.memory import USUAL, estimate
from models.places import OWN, Place, places
from models.receipts import receipts

_OFFERED = 5
_NAMELESS = re.compile(r"sha256-[0-9a-f]{64}|(ggml-)?model.*\.gguf", re.IGNORECASE)


class NoModelError(NotUsableError):
    """The default model is not here, or another one is to be chosen."""


_Found = tuple[Sighting, ModelCard]


@dataclass(frozen=True)
class LocalModel:
    """A model that one can chat with, and all that is to be told of it.

    name: what a user types, as short as tells it apart; names: all of them, that one first, where
    several lead to it. program: who keeps it (see places.py). copies: other files with the same
    model. memory: what it takes with the options asked for. placing: where that is taken, and
    whether so much is free.
    """

    names: tuple[str, ...]
    path: Path
    program: str
    card: ModelCard
    copies: tuple[Path, ...]
    memory: Memory
    placing: Placing

    @property
    def name(self) -> str:
        """The first of its names."""
        return self.names[0]


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is not in the list, and why, in a sentence."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Listing:
    """All chat models by name, place by place, and what was left out. devices: to put layers on.
    free: bytes of the machine's own memory."""

    models: tuple[LocalModel, ...]
    left_out: tuple[LeftOut, ...]
    devices: tuple[Device, ...]
    free: int


def listing(folders: Sequence[Path] | None = None, options: LoadOptions = USUAL) -> Listing:
    """All models on this machine's disk; with `folders`, those in them alone.

    Headers are read once for as long as files stay the same. Raises NotUsableError where our own
    folder, or one of those, cannot be read.
    """
    where = _places() if folders is None else [_given(folder) for folder in folders]
    sightings, unread = look_into(where)
    _require_own(unread)
    left_out = [
        LeftOut(each.path, f"{each.path} was not looked through ({each.reason}).")
        for each in unread
    ]
    known = KnownModels()
    found: list[_Found] = []
    for sighting, seen in zip(sightings, known.look_at(s.path for s in sightings), strict=True):
        if seen.card is None:
            left_out.append(LeftOut(sighting.path, seen.problem))
        elif reason := obstacle(seen.card):
            left_out.append(LeftOut(sighting.path, f"{sighting.path} {reason}."))
        else:
            found.append((sighting, seen.card))
    groups = _same(found, known.digest)
    known.save()
    names = _names([[sighting for sighting, _ in group] for group in groups])
    free, devices = free_memory(), tuple(usable_devices(options))
    models = []
    for called, group in zip(names, groups, strict=True):
        sighting, card = group[0]
        memory = estimate(card, options)
        copies = tuple(dict.fromkeys(each.path for each, _ in group if each.path != sighting.path))
        models.append(
            LocalModel(
                called,
                sighting.path,
                sighting.program,
                card,
                copies,
                memory,
                place(memory, options, devices, free),
            )
        )
    return Listing(tuple(models), tuple(dict.fromkeys(left_out)), devices, free)


def usable_devices(options: LoadOptions) -> list[Device]:
    """Where layers would go with these options; none where this build can use none."""
    return [] if options.gpu_layers == 0 else chosen_devices(options, seen_devices(options.rpc))


def resolve(name: str) -> Path:
    """The file of the model that a user means; for an empty name, the default model's.

    A name is one from the catalogue, the path of a file, or the name of a file in any place that
    is known, with as much of what stands before it (folders, the place) as tells it apart, with or
    without its ending, in upper or lower case.

    Raises NotUsableError where there is no such model, or more than one. The file is not looked
    into: see inspection for that.
    """
    entry = catalogue.find(name or catalogue.default().name)
    if entry:
        return _fetched(entry, chosen=bool(name))
    path = _path(name)
    return path if stat.S_ISREG(_mode(path)) else _only_match(name, _sightings())


def called(path: Path) -> str:
    """What to call the model of a file, where its own name may say nothing: as the list does."""
    if _NAMELESS.fullmatch(path.name):
        with suppress(NotUsableError):
            files = _by_file(_sightings())
            for sightings, names in zip(files, _names(files), strict=True):
                if sightings[0].path == path.absolute():
                    return names[0]
    return file_title(path)


def resolve_own(name: str) -> Path:
    """The file in the models folder that a user means, by any name that `resolve` takes.

    Raises NotUsableError where there is none or more than one, UsageError where the file is
    somewhere else.
    """
    sightings = _sightings()
    own = [sighting for sighting in sightings if sighting.program == OWN]
    if entry := catalogue.find(name):
        files = [path for path, known in _entries().items() if known == entry.name]
        here = [sighting.path for sighting in own if sighting.path in files]
        return here[0] if here else _fetched(entry, chosen=True)
    path = _path(name)
    if _matches(name, own):
        path = _only_match(name, own)
    elif not stat.S_ISREG(_mode(path)):
        path = _only_match(name, sightings)
    if not paths.real(path.parent).is_relative_to(paths.real(models_folder())):
        raise UsageError(
            f"{path} is not in {models_folder()}, and Amulet removes nothing elsewhere; remove it "
            "yourself."
        )
    return path


def remove(name: str) -> list[Path]:
    """Remove a model from the models folder, with all its parts; returns the removed files.

    Raises as `resolve_own` does, and UsageError where a file cannot be removed.
    """
    parts = [part for part in part_paths(resolve_own(name)) if paths.exists(part)]
    for part in parts:
        try:
            part.unlink()
        except OSError as error:
            remedy = advice(error, "make its folder writable, and try again")
            raise UsageError(f"{part} cannot be removed ({cause(error)}); {remedy}.") from None
    return parts


# -- what lies where ------------------------------------------------------------------------------


def _places() -> list[Place]:
    return places(map(paths.usable, load_settings().model_folders))


def _sightings() -> list[Sighting]:
    """All of them. Raises NotUsableError where our own folder cannot be read."""
    sightings, unread = look_into(_places())
    _require_own(unread)
    return sightings


def _require_own(unread: Sequence[Unread]) -> None:
    for each in unread:
        if each.path == models_folder():
            raise NotUsableError(
                f"the models folder {each.path} cannot be read ({each.reason}); mend that, or set "
                "AMULET_MODELS to another folder."
            )


def _given(folder: Path) -> Place:
    """A folder that a user named. Raises NotUsableError where it is none, or cannot be read."""
    try:
        os.scandir(paths.usable(folder)).close()
    except OSError as error:
        raise NotUsableError(
            f"the folder {folder} cannot be read ({cause(error)}); {advice(error, 'name another')}."
        ) from None
    return Place(folder.name, folder)


def _same(found: Iterable[_Found], digest: Callable[[Path], str]) -> list[list[_Found]]:
    """Those that are the same model together: one file by several ways, or files that agree in
    size and digest. In order of the first of each."""
    alike: defaultdict[tuple[object, ...], list[_Found]] = defaultdict(list)
    for sighting, card in found:
        alike[card.size, card.parameters, card.architecture].append((sighting, card))
    groups: dict[tuple[object, ...], list[_Found]] = {}
    for key, candidates in alike.items():
        files = [os.path.realpath(sighting.path) for sighting, _ in candidates]
        for (sighting, card), file in zip(candidates, files, strict=True):
            identity = digest(sighting.path) if len(set(files)) > 1 else file
            groups.setdefault((*key, identity or file), []).append((sighting, card))
    return list(groups.values())


# -- names ----------------------------------------------------------------------------------------


def _names(models: Iterable[Sequence[Sighting]]) -> list[tuple[str, ...]]:
    """What to type for each model, of which there may be several sightings: the last parts of its
    names, as few as tell it from all others."""
    models = list(models)
    taken = Counter(
        ending
        for sightings in models
        for ending in {
            _folded(ending)
            for sighting in sightings
            for name in sighting.names
            for ending in _endings(name)
        }
    )
    taken.update((name,) for entry in catalogue.entries() for name in (entry.name, entry.alias))
    entries = _entries()
    return [
        tuple(dict.fromkeys(entries.get(each.path) or _name(each, taken) for each in sightings))
        for sightings in models
    ]


def _by_file(sightings: Iterable[Sighting]) -> list[list[Sighting]]:
    """Those of one path together."""
    files: dict[Path, list[Sighting]] = {}
    for sighting in sightings:
        files.setdefault(sighting.path, []).append(sighting)
    return list(files.values())


def _name(sighting: Sighting, taken: Mapping[Name, int]) -> str:
    endings = _endings(sighting.names[0])
    own = next((ending for ending in endings if taken[_folded(ending)] == 1), None)
    return "/".join(own) if own else as_text(sighting.path)


def _entries() -> dict[Path, str]:
    """The files that models of the catalogue have in our own folder, and those models' names."""
    names = {
        models_folder() / entry.file: entry.name
        for entry in catalogue.entries()
        if isinstance(entry, Packaged)
    }
    return names | {receipt.path: receipt.entry for receipt in receipts() if receipt.entry}


def _endings(name: Name) -> list[Name]:
    """Its last part, its last two, and so on."""
    return [name[-count:] for count in range(1, len(name) + 1)]


def _folded(name: Name) -> Name:
    return tuple(part.casefold() for part in name)


# -- from what a user types to a file -------------------------------------------------------------


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
    folded = set(map(_folded, typed))
    return [sighting for sighting, names in endings if typed & names] or [
        sighting for sighting, names in endings if folded & set(map(_folded, names))
    ]


def _only_match(name: str, sightings: Sequence[Sighting]) -> Path:
    matches = _matches(name, sightings)
    if len(matches) > 1:
        matches = _apart(matches)
    if len(matches) > 1:
        names = ", ".join(names[0] for names in _names(_by_file(matches)))
        raise NotUsableError(f"{printable(name)!r} may mean any of {names}; give one name in full.")
    if not matches:
        raise NotUsableError(_not_found(name, sightings))
    return matches[0].path


def _apart(sightings: Iterable[Sighting]) -> list[Sighting]:
    """One for each model, where several files are copies of it."""
    known = KnownModels()
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
        return f"{path} is a folder; name a GGUF file in it."
    if path.suffix.casefold() == ".gguf" or path.is_absolute() or name.startswith((".", "~")):
        return f"there is no file {path}; check the path, or see what is here with: amulet models"
    if near := _near(name, [each for names in _names(_by_file(sightings)) for each in names]):
        return f"no model is called {printable(name)!r}; near it are: {near}"
    if near := _near(name, [entry.name for entry in catalogue.entries()]):
        return (
            f"no model is called {printable(name)!r}; near it are, to be fetched with amulet "
            f"models pull: {near}"
        )
    return f"no model is called {printable(name)!r}; see which ones are here with: amulet models"


def _near(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches

    known = {each.casefold(): each for each in names}
    wanted = name.casefold()
    near = [key for key in known if wanted in key] or get_close_matches(wanted, known, cutoff=0.5)
    return ", ".join(printable(known[key]) for key in near[:3])
