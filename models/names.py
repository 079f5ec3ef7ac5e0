"""What to type for each model: the last parts of its names, as few as tell it from all others.

Sightings go in, names come out. What a user typed is found again by lookup.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from amulet_local.path_text import as_text
from amulet_local.settings import models_folder
from models import catalogue
from models.catalogue import Packaged
from models.discovery import Name, Sighting
from models.receipts import receipts


def short_names(models: Iterable[Sequence[Sighting]]) -> list[tuple[str, ...]]:
    """What to type for each model, of which there may be several sightings: the last parts of its
    names, as few as tell it from all others."""
    models = list(models)
    taken = Counter(
        ending
        for sightings in models
        for ending in {
            fold(ending)
            for sighting in sightings
            for name in sighting.names
            for ending in _endings(name)
        }
    )
    taken.update((name,) for entry in catalogue.entries() for name in (entry.name, entry.alias))
    entries = catalogue_files()
    return [
        tuple(dict.fromkeys(entries.get(each.path) or _name(each, taken) for each in sightings))
        for sightings in models
    ]


def by_file(sightings: Iterable[Sighting]) -> list[list[Sighting]]:
    """Those of one path together."""
    files: dict[Path, list[Sighting]] = {}
    for sighting in sightings:
        files.setdefault(sighting.path, []).append(sighting)
    return list(files.values())


def _name(sighting: Sighting, taken: Mapping[Name, int]) -> str:
    endings = _endings(sighting.names[0])
    own = next((ending for ending in endings if taken[fold(ending)] == 1), None)
    return "/".join(own) if own else as_text(sighting.path)


def catalogue_files() -> dict[Path, str]:
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


def fold(name: Name) -> Name:
    """A name in which upper and lower case are alike."""
    return tuple(part.casefold() for part in name)
