"""Where things live, and the user's config.toml.

`AMULET_HOME` moves everything under one folder; `AMULET_MODELS` moves the models alone. The
platform's own folders are used otherwise.
"""

from __future__ import annotations

import hashlib
import os
import platform
import tomllib
from functools import cache
from pathlib import Path

import msgspec
import platformdirs

from amulet_local.errors import NotUsableError
from amulet_local.paths import as_text, from_text
from amulet_local.protocol import LoadOptions, Positive

_APP = "amulet"


def _home() -> Path | None:
    home = os.environ.get("AMULET_HOME")
    return Path(home).expanduser() if home else None


def data_folder() -> Path:
    """Chats and models."""
    home = _home()
    return home / "data" if home else platformdirs.user_data_path(_APP, appauthor=False)


def config_folder() -> Path:
    """config.toml and the user's own presets."""
    home = _home()
    return home / "config" if home else platformdirs.user_config_path(_APP, appauthor=False)


def log_folder() -> Path:
    """What llama.cpp said, one file per engine process, the latest kept."""
    home = _home()
    return home / "log" if home else platformdirs.user_log_path(_APP, appauthor=False)


def cache_folder() -> Path:
    """What can be found out again."""
    home = _home()
    return home / "cache" if home else platformdirs.user_cache_path(_APP, appauthor=False)


def models_folder() -> Path:
    """GGUF files that Amulet fetched."""
    models = os.environ.get("AMULET_MODELS")
    return Path(models).expanduser() if models else data_folder() / "models"


def presets_folder() -> Path:
    """The user's presets, one TOML each; they override built-in ones of the same name."""
    return config_folder() / "presets"


def calibration_folder() -> Path:
    """What calibration found, one file a model; not there before the first."""
    return data_folder() / "calibration"


def calibration_file(model: str) -> Path:
    """What calibration found for a model: named by its file (name, size, time of change), the
    machine and the library, so that it goes stale with any of them."""
    machine = f"{platform.machine()} {platform.processor()} {os.cpu_count()}"
    key = f"{_identity(model)} {machine} {_library()}"
    return calibration_folder() / f"{_short(key)}.json"


def strengths_file(model: str) -> Path:
    """The strengths found for a model's presets: named by its file, as above; they hang on no
    machine."""
    return data_folder() / "strengths" / f"{_short(_identity(model))}.json"


def _identity(model: str) -> str:
    path = from_text(model)
    name = as_text(path.name)
    try:
        status = path.stat()
    except OSError:
        return name
    return f"{name} {status.st_size} {status.st_mtime_ns}"


def _short(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


@cache
def _library() -> str:
    """Looked up once: it takes milliseconds, and a list of models asks for each of them."""
    from importlib.metadata import version  # which imports much

    return version("llama-cpp-python")


def is_calibrated(model: str) -> bool:
    """Whether the fastest settings for a model on this machine are known."""
    return calibration_file(model).exists()


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """config.toml: what a user wants different from the defaults. All keys are optional.

    model_folders: where else models lie, beside the places that programs are known to use.
    thinking: have models think before they answer, those that can.
    """

    model: str = ""
    model_folders: tuple[str, ...] = ()
    preset: str = ""
    system: str = ""
    max_tokens: Positive = 2048
    thinking: bool = False
    theme: str = ""
    keys: dict[str, str] = {}
    engine: LoadOptions = LoadOptions()


def load_settings() -> Settings:
    """Read config.toml; a missing file means defaults.

    Raises NotUsableError with the file and the reason when it is not valid.
    """
    path = config_folder() / "config.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise NotUsableError(f"{path} cannot be read ({error}); mend or remove it.") from None
    try:
        return msgspec.convert(tomllib.loads(text), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise NotUsableError(f"{path} is not valid ({error}); mend or remove it.") from None
