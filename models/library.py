"""The models that are here, wherever they lie, and what is to be told of each.

Folders go in, a list comes out. Where to look is known to locations.py, how to discovery.py, what
to type for each to names.py.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from amulet_local.errors import NotUsableError, UsageError, advice, cause
from amulet_local.protocol.loading import LoadOptions, Memory
from amulet_local.runtime.device_probe import probe_devices
from amulet_local.runtime.offload import (
    Device,
    Offload,
    chosen_devices,
    estimate_offload,
    free_memory,
)
from amulet_local.settings import config_folder, load_settings, models_folder
from amulet_local.system import paths
from models.card_cache import CardCache
from models.cards import ModelCard, obstacle
from models.discovery import Sighting, Unread, look_into
from models.locations import Location, locations
from models.memory import USUAL, estimate
from models.names import short_names

_Found = tuple[Sighting, ModelCard]


@dataclass(frozen=True)
class LocalModel:
    """A model that one can chat with, and all that is to be told of it.

    name: what a user types, as short as tells it apart; names: all of them, that one first, where
    several lead to it. program: who keeps it (see locations.py). copies: other files with the same
    model. memory: what it takes with the options asked for. placing: where that is taken, and
    whether so much is free.
    """

    names: tuple[str, ...]
    path: Path
    program: str
    card: ModelCard
    copies: tuple[Path, ...]
    memory: Memory
    placing: Offload

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
    """All chat models by name, one location after another, and what was left out.

    devices: to put layers on. free: bytes of the machine's own memory.
    """

    models: tuple[LocalModel, ...]
    left_out: tuple[LeftOut, ...]
    devices: tuple[Device, ...]
    free: int


def listing(folders: Sequence[Path] | None = None, options: LoadOptions = USUAL) -> Listing:
    """All models on this machine's disk; with `folders`, those in them alone.

    Headers are read once for as long as files stay the same. Raises NotUsableError where our own
    folder, or one of those, cannot be read.
    """
    where = _locations() if folders is None else [_given(folder) for folder in folders]
    sightings, unread = look_into(where)
    _require_own(unread)
    left_out = [
        LeftOut(each.path, f"{each.path} was not searched ({each.reason}).") for each in unread
    ]
    known = CardCache()
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
    names = short_names([[sighting for sighting, _ in group] for group in groups])
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
                estimate_offload(memory, options, devices, free),
            )
        )
    return Listing(tuple(models), tuple(dict.fromkeys(left_out)), devices, free)


def usable_devices(options: LoadOptions) -> list[Device]:
    """Where layers would go with these options; none where this build can use none."""
    return [] if options.gpu_layers == 0 else chosen_devices(options, probe_devices(options.rpc))


# -- what lies where ------------------------------------------------------------------------------


def _locations() -> list[Location]:
    """Raises NotUsableError where a folder of the user's own is none that there can be."""
    try:
        return locations(map(paths.usable, load_settings().model_folders))
    except UsageError as error:
        config = config_folder() / "config.toml"
        raise NotUsableError(f"model_folders in {config} cannot be used: {error}") from None


def all_sightings() -> list[Sighting]:
    """All of them. Raises NotUsableError where our own folder cannot be read."""
    sightings, unread = look_into(_locations())
    _require_own(unread)
    return sightings


def _require_own(unread: Sequence[Unread]) -> None:
    for each in unread:
        if each.path == models_folder():
            raise NotUsableError(
                f"the models folder {each.path} cannot be read ({each.reason}); fix that, or set "
                "AMULET_MODELS to another folder."
            )


def _given(folder: Path) -> Location:
    """A folder that a user named. Raises NotUsableError where it is none, or cannot be read."""
    try:
        os.scandir(paths.usable(folder)).close()
    except OSError as error:
        raise NotUsableError(
            f"the folder {folder} cannot be read ({cause(error)}); {advice(error, 'try another')}."
        ) from None
    return Location(folder.name, folder)


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
