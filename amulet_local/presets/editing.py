"""The user's own presets: files made from a template, from a built-in preset, or from a form.

A preset goes in, and its file comes out; what a user wrote into it by hand stays. preset.py reads
them.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import msgspec

from amulet_local.errors import NotUsableError, UsageError, advice, cause
from amulet_local.files import replacing
from amulet_local.presets.preset import (
    BUILT_IN,
    MOST_BYTES,
    NAME,
    Preset,
    check_name,
    load_presets,
    not_found,
    read_preset,
)
from amulet_local.protocol.alignment import Sampling
from amulet_local.settings import presets_folder
from amulet_local.system import paths
from amulet_local.system.text_files import read_text

_NOT_IN_FILES = ("name", "path", "built_in")


def new_preset(name: str) -> Path:
    """A file of the user's own to fill in, made from a template; returns where it is.

    Raises UsageError where the name cannot be used or is taken, NotUsableError where the folder
    cannot be written to.
    """
    check_name(name, "preset")
    _must_be_new(name, f"change it with: amulet presets edit {name}")
    return _write(_own(name), _TEMPLATE)


def own_preset(name: str) -> Path:
    """The user's own file of a preset, usable or not; a built-in one is copied first.

    Raises NotUsableError where there is none of that name, or the copy cannot be written.
    """
    if NAME.fullmatch(name):
        if paths.exists(_own(name)):
            return _own(name)
        if paths.exists(_built_in(name)):
            return _write(_own(name), read_text(_built_in(name), MOST_BYTES))
    raise NotUsableError(not_found(name, load_presets().presets))


def save_preset(preset: Preset, *, new: bool = False) -> Path:
    """Write a preset to the user's file of its name, and return that; a built-in one becomes the
    user's own. Remarks and layout of a file that is there stay as they are.

    new: there must be none of that name yet. Raises UsageError where there is, NotUsableError where
    the file cannot be written, or is there and cannot be used.
    """
    import tomlkit  # takes a while, and only who writes presets needs it

    own = _own(preset.name)
    if new:
        _must_be_new(preset.name, "choose another name.")
    source = next((path for path in (own, _built_in(preset.name)) if paths.exists(path)), None)
    before = _keys(read_preset(source)) if source else {}
    document = tomlkit.parse(read_text(source, MOST_BYTES) if source else "")
    usual = _keys(Preset(preference=preset.preference, name="", path=own, built_in=False))
    for key, value in _keys(preset).items():
        if key == "sampling":
            _set_sampling(document, value)
        elif value != before.get(key, usual[key]) or (key == "preference" and not source):
            if key == "strength":
                document.pop("update", None)
            document[key] = value
    return _write(own, tomlkit.dumps(document))


def _set_sampling(document: MutableMapping[str, Any], wanted: dict[str, Any]) -> None:
    """Write the table [sampling], where it is needed, with what is not as usual or is there."""
    usual = msgspec.structs.asdict(Sampling())
    table = document.get("sampling", {})
    changed = {key: value for key, value in wanted.items() if value != table.get(key, usual[key])}
    if changed:
        if "sampling" not in document:
            document["sampling"] = {}
        document["sampling"].update(changed)


def _keys(preset: Preset) -> dict[str, Any]:
    """What a file may say of a preset."""
    keys = msgspec.structs.asdict(preset)
    sampling = msgspec.structs.asdict(preset.sampling)
    return {key: keys[key] for key in keys if key not in _NOT_IN_FILES} | {"sampling": sampling}


def _must_be_new(name: str, advice: str) -> None:
    if paths.exists(_own(name)) or paths.exists(_built_in(name)):
        raise UsageError(f"there is already a preset called {name}; {advice}")


def _own(name: str) -> Path:
    return presets_folder() / f"{name}.toml"


def _built_in(name: str) -> Path:
    return BUILT_IN / f"{name}.toml"


def _write(path: Path, text: str) -> Path:
    """Put a file in place, whole or not at all."""
    try:
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        remedy = advice(error, "make it writable, or set AMULET_HOME to another folder")
        raise NotUsableError(f"{path} cannot be written ({cause(error)}); {remedy}.") from None
    return path


_TEMPLATE = """\
# A preset: a preference, and how strongly replies are realigned to it.
# Lines that begin with # are comments; remove the # to use a key. Only preference is required.

title = ""
description = "What it is for, in one line."
group = "own"

# What you want from every reply, as you would tell a person. {date} becomes today's date.
preference = "Answer in a warm and personal tone."

# How firmly: gently, clearly, or firmly, the most the model can take. Or a number: 0 ignores the
# preference, 1 only asks for it, 3 is firm, 5.65 is the paper's; below 0 leads away from it.
strength = "clearly"

# Keeps text coherent at high strength: 0 is off, 0.03 is usual, 1 is the strictest.
guard = 0.03

# Where the preference goes: in the system prompt, or only in the newest message ("turn").
# placement = "system"

# A system prompt just for this preset.
# system = ""

[sampling]
# temperature = 0.7
dry_multiplier = 0.8 # against loops; 0 is off
penalty_last_n = 512
"""
