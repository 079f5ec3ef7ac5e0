"""Where things live, and the user's config.toml.

`AMULET_HOME` moves everything under one folder; `AMULET_MODELS` moves the models alone. The
platform's own folders are used otherwise.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec
import platformdirs

from amulet_local.errors import AmuletError, NotUsableError, advice, cause
from amulet_local.files import clear_remnants, is_open, make_private, parts_in, stamp
from amulet_local.path_text import as_text, from_text
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.numbers import Positive
from amulet_local.system import paths
from amulet_local.system.text_files import (
    TOML_ERRORS,
    NotTextError,
    load_toml,
    read_text,
    toml_reason,
)

_APP = "amulet"
_MOST_BYTES = 1 << 18


def _folder(name: str, usual: Callable[..., Path]) -> Path:
    """One of our folders. Raises NotUsableError where neither AMULET_HOME nor the system tells
    where that is."""
    if own := paths.from_environment("AMULET_HOME"):
        return own / name
    try:
        folder = usual(_APP, appauthor=False)
    except RuntimeError:  # from platformdirs where no home is known
        raise NotUsableError(paths.NO_HOME) from None
    if not folder.is_absolute():  # the same from its older versions
        raise NotUsableError(paths.NO_HOME)
    return folder


def data_folder() -> Path:
    """Chats and models."""
    return _folder("data", platformdirs.user_data_path)


def config_folder() -> Path:
    """config.toml, the user's own presets and mixes."""
    return _folder("config", platformdirs.user_config_path)


def log_folder() -> Path:
    """What happened: `engine_log` and `app_log`."""
    return _folder("log", platformdirs.user_log_path)


def engine_log() -> Path:
    """What the newest engine, and llama.cpp in it, said."""
    return log_folder() / "engine.log"


def app_log() -> Path:
    """What nobody foresaw (see unexpected)."""
    return log_folder() / "app.log"


def cache_folder() -> Path:
    """What can be found out again."""
    return _folder("cache", platformdirs.user_cache_path)


def models_folder() -> Path:
    """GGUF files that Amulet fetched."""
    return paths.from_environment("AMULET_MODELS") or data_folder() / "models"


def presets_folder() -> Path:
    """The user's presets, one TOML each; they override built-in ones of the same name."""
    return config_folder() / "presets"


def mixes_folder() -> Path:
    """The user's mixes of presets, one TOML each."""
    return config_folder() / "mixes"


def autotune_folder() -> Path:
    """What autotuning found, one file a model; not there before the first."""
    return data_folder() / "calibration"


def autotune_file(model: str) -> Path:
    """What autotuning found for a model: named by its file (name, size, time of change), the
    machine and the library, so that it goes stale with any of them."""
    return autotune_folder() / f"{_short(_here(model))}.json"


def block_costs_file(model: str, loaded: str) -> Path:
    """What blocks of tokens cost on a model that is loaded like this: named as above."""
    return autotune_folder() / f"{_short(f'{_here(model)} {loaded}')}-blocks.json"


def format_trial_file(model: str, loaded: str) -> Path:
    """What other formats of a model that is loaded like this came to: named as above."""
    return autotune_folder() / f"{_short(f'{_here(model)} {loaded}')}-formats.json"


def strengths_file(model: str) -> Path:
    """The strengths found for a model's presets: named by its file, as above; they hang on no
    machine."""
    return data_folder() / "strengths" / f"{_short(_identity(model))}.json"


def habits_folder() -> Path:
    """What models said in replies, as counts of tokens, one file a model."""
    return data_folder() / "habits"


def habits_file(model: str) -> Path:
    """What a model said, by the ids of its tokens: named by its file, as above."""
    return habits_folder() / f"{_short(_identity(model))}.table"


def state_key() -> Path:
    """The key under which states are sealed (see sealing.py)."""
    return data_folder() / "state.key"


def mend_folders() -> None:
    """Put our folders in order: what earlier versions left open to others is closed, and what
    processes that are gone were writing goes. Models may be shared, and stay as they are; so do
    files of others, in whose folder AMULET_HOME may be. A key that others may have read goes: once
    it is closed, nobody would know."""
    with suppress(AmuletError):  # no home; whoever needs one says so
        models = models_folder()
        if is_open(state_key()):
            with suppress(OSError):
                state_key().unlink()
        for folder in (data_folder(), config_folder(), log_folder(), cache_folder()):
            make_private(folder, but=models)
            for each in (folder, *_below(folder)):
                if each != models:
                    clear_remnants(parts_in(each))
        clear_remnants(parts_in(models))


def _below(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if paths.is_dir(entry)]
    except OSError:
        return []


def _here(model: str) -> str:
    machine = f"{platform.machine()} {platform.processor()} {os.cpu_count()}"
    return f"{_identity(model)} {machine} {_library()}"


def _identity(model: str) -> str:
    path = from_text(model)
    name, found = as_text(path.name), stamp(path)
    return f"{name} {found.size} {found.mtime_ns}" if found else name


def _short(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


@cache
def _library() -> str:
    """Looked up once: it takes milliseconds, and a list of models asks for each of them."""
    from importlib.metadata import version  # which imports much

    return version("llama-cpp-python")


def is_autotuned(model: str) -> bool:
    """Whether the fastest settings for a model on this machine are known."""
    return paths.exists(autotune_file(model))


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """config.toml: what a user wants different from the defaults. All keys are optional.

    model_folders: where else models lie, beside the places that programs are known to use.
    thinking: have models think before they answer, those that can. read_ahead: have the model read
    a message while it is typed.
    """

    model: str = ""
    model_folders: tuple[str, ...] = ()
    preset: str = ""
    system: str = ""
    max_tokens: Positive = 2048
    thinking: bool = False
    read_ahead: bool = True
    theme: str = ""
    keys: dict[str, str] = {}
    engine: LoadOptions = LoadOptions()


def load_settings(tell: Callable[[str], object] = lambda _: None) -> Settings:
    """Read config.toml; a missing file means defaults, and so does one that the system does not
    let be read, which is told in a sentence.

    Raises NotUsableError with the file and the reason when it is not valid.
    """
    path = config_folder() / "config.toml"
    try:
        text = read_text(path, _MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return Settings()
    except OSError as error:
        remedy = advice(error, "make it readable, or remove it")
        tell(f"{path} cannot be read ({cause(error)}), so the usual settings are used; {remedy}.")
        return Settings()
    except NotTextError as error:
        raise NotUsableError(f"{path} cannot be read ({error}); fix or remove it.") from None
    try:
        return msgspec.convert(load_toml(text), Settings)
    except TOML_ERRORS as error:
        reason = toml_reason(error, text, Settings)
        raise NotUsableError(f"{path} is not valid ({reason}); fix or remove it.") from None
