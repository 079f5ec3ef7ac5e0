"""Mixes: several preferences under one name, one TOML file each, in the user's folder `mixes`.

Files go in, Mixes come out, and a sentence for every file that cannot be used; a mix that was put
together elsewhere is written. docs/mixing.md describes the format.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import msgspec

from amulet_local.errors import NotUsableError, UsageError, advice, cause
from amulet_local.files import replacing
from amulet_local.presets.firmness import Firmness
from amulet_local.presets.mixing import Chosen, Together, without_doubles
from amulet_local.presets.preset import MOST_BYTES, NAME, Presets, check_name, remedy
from amulet_local.protocol.alignment import MOST_FADERS, Placement, Sampling, Strength
from amulet_local.protocol.numbers import Fraction
from amulet_local.settings import mixes_folder
from amulet_local.system import paths
from amulet_local.system.text_files import (
    TOML_ERRORS,
    NotTextError,
    load_toml,
    read_text,
    shortened,
    toml_reason,
)


class _FaderKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table [[fader]] of a file: a preset's name, or words; its strength, if it is not usual."""

    preset: str = ""
    preference: str = ""
    strength: Strength | Firmness | None = None
    muted: bool = False


class _Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What files say and mixes have. guard, placement, sampling: None for what the presets say."""

    title: str = ""
    description: str = ""
    guard: Fraction | None = None
    placement: Placement | None = None
    system: str = ""
    sampling: Sampling | None = None
    fader: Annotated[tuple[_FaderKeys, ...], msgspec.Meta(min_length=1, max_length=MOST_FADERS)]


@dataclass(frozen=True)
class Mix:
    """A mix that can be used. faders: of presets as they are now."""

    name: str
    path: Path
    title: str
    description: str
    faders: tuple[Chosen, ...]
    together: Together


@dataclass(frozen=True)
class Mixes:
    """All mixes by name; broken: why a file is not among them, by name."""

    mixes: dict[str, Mix]
    broken: dict[str, str]

    def get(self, name: str) -> Mix | None:
        """The mix of a name, if there is one. Raises NotUsableError where it is broken."""
        if name in self.broken:
            raise NotUsableError(self.broken[name])
        return self.mixes.get(name)


def load_mixes(presets: Presets) -> Mixes:
    """Read all mixes of these presets anew. What cannot be used is told of, and never raises."""
    folder = mixes_folder()
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except FileNotFoundError:
        return Mixes({}, {})
    except OSError as error:
        problem = f"the mixes in {folder} cannot be read ({cause(error)})."
        return Mixes({}, {str(folder): problem})
    mixes: dict[str, Mix] = {}
    broken: dict[str, str] = {}
    for path in files:
        if path.name.startswith("."):
            continue
        try:
            mixes[path.stem] = read_mix(path, presets)
        except NotUsableError as error:
            broken[path.stem] = str(error)
    return Mixes(mixes, broken)


def read_mix(path: Path, presets: Presets) -> Mix:
    """One mix. Raises NotUsableError naming the file, the line where known, and the reason."""
    if not NAME.fullmatch(path.stem):
        raise NotUsableError(
            f"the mix {path} cannot be used (names have lower-case letters, digits and hyphens "
            "only); rename it."
        )
    text = ""
    try:
        if not paths.is_file(path):
            raise ValueError("it is not a file")
        text = read_text(path, MOST_BYTES)
        keys = msgspec.convert(load_toml(text), _Keys)
        faders = tuple(_chosen(fader, path.stem, presets) for fader in keys.fader)
        _, doubled = without_doubles(faders)
        if doubled:
            raise ValueError(f"{doubled[0]} is in it twice")
    except TOML_ERRORS as error:
        reason = toml_reason(error, text, _Keys)
    except OSError as error:
        reason = f"it cannot be read: {cause(error)}"
    except (ValueError, NotTextError) as error:
        reason = str(error)
    else:
        usual = Together.of(faders)
        together = Together(
            usual.guard if keys.guard is None else keys.guard,
            keys.placement or usual.placement,
            keys.system or usual.system,
            keys.sampling or usual.sampling,
        )
        return Mix(path.stem, path, keys.title or path.stem, keys.description, faders, together)
    raise NotUsableError(f"the mix {path} cannot be used ({reason}); {remedy(path)}")


def _chosen(keys: _FaderKeys, mix: str, presets: Presets) -> Chosen:
    """Raises ValueError where there is no such preference."""
    if bool(keys.preset) == bool(keys.preference.strip()):
        raise ValueError("give every [[fader]] a preset, or a preference in words, not both")
    if not keys.preset:
        return Chosen(None, keys.preference.strip(), keys.strength, keys.muted)
    if preset := presets.presets.get(keys.preset):
        return Chosen(preset, "", keys.strength, keys.muted)
    if keys.preset == mix:
        raise ValueError("it names itself; a mix is made of presets and words")
    if paths.exists(_file(keys.preset)):
        raise ValueError(f"{keys.preset} is a mix as well; a mix is made of presets and words")
    if keys.preset in presets.broken:
        raise ValueError(f"its preset {keys.preset} is broken; see: amulet presets")
    near = get_close_matches(keys.preset, presets.presets)
    hint = f"; similar names: {', '.join(near)}" if near else ""
    raise ValueError(f"there is no preset called {shortened(keys.preset)!r} any more{hint}")


def save_mix(
    name: str,
    faders: tuple[Chosen, ...],
    presets: Presets,
    together: Together | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a mix, and return where it is. together: what differs from what its presets say is
    written; overwrite: even if there is a mix of that name.

    Raises UsageError where the name cannot be used or is taken, NotUsableError where the file
    cannot be written.
    """
    import tomlkit  # takes a while, and only who writes mixes needs it

    check_name(name, "mix")
    if name in presets.presets or name in presets.broken:
        raise UsageError(f"there is already a preset called {name}; choose another name.")
    path = _file(name)
    if paths.exists(path) and not overwrite:
        raise UsageError(f"there is already a mix called {name}; choose another name.")
    document = tomlkit.document()
    document.add(tomlkit.comment("A mix of preferences, each with its own strength."))
    usual, together = Together.of(faders), together or Together.of(faders)
    for key in ("guard", "placement"):
        if getattr(together, key) != getattr(usual, key):
            document[key] = getattr(together, key)
    tables = tomlkit.aot()
    for fader in faders:
        keys = _FaderKeys(fader.name, fader.words, fader.strength, fader.muted)
        table = tomlkit.table()
        table.update(msgspec.to_builtins(keys))
        tables.append(table)
    document["fader"] = tables
    try:
        with replacing(path) as part:
            part.write_text(tomlkit.dumps(document), encoding="utf-8")
    except OSError as error:
        remedy = advice(error, "make it writable, or set AMULET_HOME to another folder")
        raise NotUsableError(f"{path} cannot be written ({cause(error)}); {remedy}.") from None
    return path


def own_mix(name: str) -> Path | None:
    """The file of a mix, usable or not; None where there is none."""
    path = _file(name)
    return path if NAME.fullmatch(name) and paths.exists(path) else None


def _file(name: str) -> Path:
    return mixes_folder() / f"{name}.toml"
