"""Where programs on this machine keep GGUF files: our own folder, the user's, those of others.

Environment and settings files go in, a list of locations comes out; whether anything is there is
not known here. Every program is one function of the table at the end.
"""

from __future__ import annotations

import configparser
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from amulet_local.errors import NotUsableError
from amulet_local.settings import models_folder
from amulet_local.system import paths
from amulet_local.system.text_files import NotTextError, read_text

OWN = "Amulet"
_MOST_BYTES = 16 << 20  # of other programs' settings

Layout = Literal["tree", "hub", "ollama"]


@dataclass(frozen=True)
class Location:
    """A folder and how files lie in it.

    program: who keeps them there; for the user's own folders, the folder's name.
    layout: tree is any nesting of folders, hub is Hugging Face's cache, ollama its store of blobs.
    """

    program: str
    folder: Path
    layout: Layout = "tree"

    @property
    def key(self) -> str:
        """What stands for the program in a model's name."""
        return self.program.casefold().replace(" ", "-")


def locations(folders: Iterable[Path] = ()) -> list[Location]:
    """All of them, our own first, then the user's folders, then other programs' by the table.

    A folder comes once, also where several variables or links lead to it.
    """
    found: dict[Path, Location] = {}
    for location in _candidates(folders):
        found.setdefault(paths.real(location.folder), location)
    return list(found.values())


def _candidates(folders: Iterable[Path]) -> Iterator[Location]:
    yield Location(OWN, models_folder())
    for folder in folders:
        expanded = paths.expand(folder)
        yield Location(expanded.name or str(expanded), expanded)
    for program in _PROGRAMS:
        with suppress(NotUsableError):  # no home: then only what variables name
            yield from program()


# -- programs -------------------------------------------------------------------------------------


def _hugging_face() -> Iterator[Location]:
    """The hub's own rules: the cache's variable, else the home's, else the system's cache."""
    home = _variable("HF_HOME") or _cache() / "huggingface"
    hub = _variable("HF_HUB_CACHE") or _variable("HUGGINGFACE_HUB_CACHE") or home / "hub"
    yield Location("Hugging Face", hub, "hub")


def _llama_cpp() -> Iterator[Location]:
    """Flat files in older versions, the hub's layout in newer ones; both may be in one folder."""
    if folder := _variable("LLAMA_CACHE"):
        yield Location("llama.cpp", folder)
    elif sys.platform == "darwin":
        yield Location("llama.cpp", paths.home() / "Library/Caches/llama.cpp")
    else:
        cache = _windows("LOCALAPPDATA") if sys.platform == "win32" else _cache()
        yield Location("llama.cpp", cache / "llama.cpp")


def _ollama() -> Iterator[Location]:
    if folder := _variable("OLLAMA_MODELS"):
        yield Location("Ollama", folder, "ollama")
    yield Location("Ollama", paths.home() / ".ollama/models", "ollama")
    if sys.platform == "linux":  # what its installer sets up as a service
        yield Location("Ollama", Path("/usr/share/ollama/.ollama/models"), "ollama")


def _lm_studio() -> Iterator[Location]:
    pointer = paths.home() / ".lmstudio-home-pointer"
    homes = [paths.home() / ".lmstudio", paths.home() / ".cache/lm-studio"]
    with suppress(OSError, NotTextError):
        homes.insert(0, paths.expand(read_text(pointer, _MOST_BYTES).strip()))
    for home in homes:
        chosen = _json(home / "settings.json").get("downloadsFolder")
        if isinstance(chosen, str) and chosen:
            yield Location("LM Studio", paths.expand(chosen))
        yield Location("LM Studio", home / "models")


def _jan() -> Iterator[Location]:
    for home in _application_folders("Jan"):
        chosen = _json(home / "settings.json").get("data_folder")
        data = paths.expand(chosen) if isinstance(chosen, str) and chosen else home / "data"
        yield Location("Jan", data / "llamacpp/models")
        yield Location("Jan", data / "models")  # older versions


def _gpt4all() -> Iterator[Location]:
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    for file in _configurations("nomic.ai/GPT4All.ini"):
        with suppress(OSError, NotTextError, configparser.Error):
            settings.read_string(read_text(file, _MOST_BYTES))
            if chosen := settings.get("General", "modelPath", fallback=""):
                yield Location("GPT4All", paths.expand(chosen))
    for folder in _application_folders("nomic.ai/GPT4All"):
        yield Location("GPT4All", folder)
    yield Location("GPT4All", _cache() / "gpt4all")  # its Python package


_PROGRAMS = (_hugging_face, _llama_cpp, _ollama, _lm_studio, _jan, _gpt4all)


# -- where a system keeps such things -------------------------------------------------------------


def _variable(name: str) -> Path | None:
    value = os.environ.get(name, "")
    return paths.expand(value) if value else None


def _cache() -> Path:
    """Where programs that follow the XDG rules on every system keep what can be fetched again."""
    return _variable("XDG_CACHE_HOME") or paths.home() / ".cache"


def _windows(variable: str) -> Path:
    default = {"APPDATA": "AppData/Roaming", "LOCALAPPDATA": "AppData/Local"}[variable]
    return _variable(variable) or paths.home() / default


def _application_folders(name: str) -> list[Path]:
    """Where applications keep their data; on Linux some use the one, some the other."""
    if sys.platform == "darwin":
        return [paths.home() / "Library/Application Support" / name]
    if sys.platform == "win32":
        return [_windows(variable) / name for variable in ("APPDATA", "LOCALAPPDATA")]
    return [folder / name for folder in (_xdg_config(), _xdg_data())]


def _configurations(name: str) -> list[Path]:
    """Where Qt keeps settings files."""
    if sys.platform == "win32":
        return [_windows("APPDATA") / name]
    return [_xdg_config() / name]


def _xdg_config() -> Path:
    return _variable("XDG_CONFIG_HOME") or paths.home() / ".config"


def _xdg_data() -> Path:
    return _variable("XDG_DATA_HOME") or paths.home() / ".local/share"


def _json(path: Path) -> dict[str, Any]:
    """Another program's settings; empty where they are not there, or not what they should be."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(read_text(path, _MOST_BYTES))
        return found if isinstance(found, dict) else {}
    return {}
