"""Presets: named preferences, one TOML file each, built in or the user's own.

Files go in, Presets come out, and a sentence for every file that cannot be used. A user's own file
stands in for the built-in preset of the same name; editing.py writes it. docs/presets.md
describes the format.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import msgspec

from amulet_local.errors import NotUsableError, UsageError, cause
from amulet_local.presets.firmness import USUAL_FIRMNESS, Firmness, strength_of
from amulet_local.protocol.alignment import (
    STRONGEST,
    USUAL_GUARD,
    Placement,
    Sampling,
    Strength,
)
from amulet_local.protocol.numbers import Fraction, Positive
from amulet_local.settings import presets_folder
from amulet_local.strengths import AMULET, Update
from amulet_local.system import paths
from amulet_local.system.text_files import (
    TOML_ERRORS,
    NotTextError,
    at_key,
    load_toml,
    read_text,
    require_numbers,
    shortened,
    toml_reason,
)

# In the order in which lists show them; users may have others.
GROUPS = {
    "own": "Your own",
    "style": "Style",
    "culture": "Culture and language",
    "values": "Values",
    "time": "Time and context",
    "paper": "From the paper",
}
MOST_ITERATIONS = 100_000

# For a preference that nothing is known of (docs/alignment.md). The paper's strength is for models
# of billions of parameters.
USUAL_STRENGTH = strength_of(USUAL_FIRMNESS)
USUAL_SAMPLING = Sampling(dry_multiplier=0.8, penalty_last_n=512)  # realigned replies loop more

BUILT_IN = Path(__file__).parent / "builtin"
BY_SYSTEM = "system"  # what stands for a client's own system message in a model's name
NAME = re.compile("[a-z0-9-]{1,100}")  # the name of a file with something behind it
MOST_BYTES = 64 * 1024

Words = Annotated[str, msgspec.Meta(pattern=r"\S")]


class _Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What files say and presets have."""

    preference: Words
    title: str = ""
    description: str = ""
    group: Words = "own"
    strength: Strength | Firmness = USUAL_FIRMNESS
    guard: Fraction = USUAL_GUARD
    placement: Placement = "system"
    system: str = ""
    sampling: Sampling = Sampling()


class Preset(_Keys, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A preset that can be used. name: its file's. system: empty for the usual system prompt."""

    name: str
    path: Path
    built_in: bool

    @property
    def usual_strength(self) -> float:
        """Its strength on a model that nobody has calibrated."""
        return strength_of(self.strength)

    def words(self, today: date | None = None) -> str:
        """The preference as the model reads it, with {date} replaced by today's date."""
        today = today or date.today()
        return self.preference.replace("{date}", f"{today:%A}, {today.day} {today:%B %Y}").strip()


class _UpdateKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [update] of a file: the paper's parameters in place of a strength."""

    iterations: Positive = Update.iterations
    alpha: float = Update.alpha
    lambda_: float = msgspec.field(name="lambda", default=Update.lambda_)
    eta: float = Update.eta


class _File(_Keys, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that a file may say."""

    update: _UpdateKeys | None = None


@dataclass(frozen=True)
class Presets:
    """All presets by name, in the order of GROUPS; broken: why a file is not among them, by name.

    Where a user's own file is broken, a built-in preset of its name is still listed.
    """

    presets: dict[str, Preset]
    broken: dict[str, str]

    @property
    def problems(self) -> list[str]:
        """What is wrong with the user's files, a sentence each."""
        return list(self.broken.values())

    def get(self, name: str) -> Preset:
        """The preset of a name.

        Raises NotUsableError, with names near it, where there is none, or the user's is broken.
        """
        if name in self.broken:
            raise NotUsableError(self.broken[name])
        if name not in self.presets:
            raise NotUsableError(not_found(name, self.presets))
        return self.presets[name]


def load_presets() -> Presets:
    """Read all presets anew. A file that cannot be used is told of, and never raises."""
    presets: dict[str, Preset] = {}
    broken: dict[str, str] = {}
    for folder in (BUILT_IN, presets_folder()):
        try:
            files = _files(folder)
        except OSError as error:
            broken[str(folder)] = f"the presets in {folder} cannot be read ({cause(error)})."
            continue
        for path in files:
            try:
                presets[path.stem] = read_preset(path)
            except NotUsableError as error:
                broken[path.stem] = str(error)
    groups = list(GROUPS)

    def order_of(preset: Preset) -> tuple[int, str, str]:
        group = preset.group
        return groups.index(group) if group in groups else len(groups), group, preset.name

    return Presets({p.name: p for p in sorted(presets.values(), key=order_of)}, broken)


def not_found(name: str, presets: dict[str, Preset]) -> str:
    """What to say where no preset has this name."""
    if not name:
        return "the name of a preset is missing; list them with: amulet presets"
    near = [known for known in presets if name and name in known]
    near = near or get_close_matches(name, presets)
    if near:
        return f"there is no preset called {name!r}; similar names: {', '.join(near[:3])}"
    return f"there is no preset called {shortened(name)!r}; list them with: amulet presets"


def _files(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if path.suffix == ".toml"]
    except FileNotFoundError:
        return []
    return sorted(path for path in found if not path.name.startswith("."))


def read_preset(path: Path) -> Preset:
    """One preset. Raises NotUsableError naming the file, the line where known, and the reason."""
    if not NAME.fullmatch(path.stem):
        raise NotUsableError(
            f"the preset {path} cannot be used (names have lower-case letters, digits and hyphens "
            "only); rename it."
        )
    try:
        values = _parse(_text(path))
    except _BadFileError as error:
        raise NotUsableError(
            f"the preset {path} cannot be used ({error}); {remedy(path)}"
        ) from None
    return Preset(**values, name=path.stem, path=path, built_in=path.parent == BUILT_IN)


def check_name(name: str, what: str) -> None:
    """Raises UsageError where a preset or a mix (`what`) cannot have this name."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"a {what} cannot be called {shortened(name)!r}; use lower-case letters, digits and "
            "hyphens, at most 100."
        )
    if name == BY_SYSTEM:
        raise UsageError(
            f"a {what} cannot be called {name}, which stands for a client's own system message in "
            "amulet serve; choose another name."
        )


def preset_of(name: str, values: dict[str, Any]) -> Preset:
    """A preset that may become a file, from what a form says; numbers may be texts.

    Raises UsageError, naming the field, where a value is not possible.
    """
    check_name(name, "preset")
    try:
        for number in ("strength", "guard"):
            with suppress(ValueError):
                require_numbers(float(values.get(number, 0)), number)
        keys = msgspec.convert(values, _Keys, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{toml_reason(error, '', _Keys)}.") from None
    return Preset(**msgspec.structs.asdict(keys), name=name, path=presets_folder(), built_in=False)


def bounded_strength(update: Update) -> float:
    """The strength that the paper's parameters come to. Raises ValueError past a bound."""
    if update.iterations > MOST_ITERATIONS:
        raise ValueError(f"iterations must be at most {MOST_ITERATIONS:,}")
    strength = update.strength
    if not abs(strength) <= STRONGEST:
        raise ValueError(
            f"these parameters give a strength of {strength:.3g}, but {STRONGEST:g} is the "
            "maximum; lower alpha or raise lambda"
        )
    return strength


def explodes(update: Update) -> bool:
    """Whether the strength grows like a power of the iterations, and has done so already."""
    return update.alpha > update.lambda_ and update.strength > 2 * AMULET


# -- reading --------------------------------------------------------------------------------------


def remedy(path: Path) -> str:
    """What to do about a preset's or a mix's file that cannot be used."""
    if paths.is_file(path):
        return f"fix it with: amulet presets edit {path.stem}"
    return "remove whatever is there, and make it anew."


class _BadFileError(Exception):
    """Why a file is no preset; the text says where, as far as that is known."""


def _text(path: Path) -> str:
    if not paths.is_file(path):
        raise _BadFileError("it is not a file")
    try:
        return read_text(path, MOST_BYTES)
    except OSError as error:
        raise _BadFileError(f"it cannot be read: {cause(error)}") from None
    except NotTextError as error:
        raise _BadFileError(str(error)) from None


@lru_cache(maxsize=64)  # presets are read anew wherever they are chosen from
def _parse(text: str) -> dict[str, Any]:
    """The fields of a preset that stand in its file, all of them; not to be changed."""
    try:
        keys = load_toml(text)
        values = msgspec.structs.asdict(msgspec.convert(keys, _File))
    except TOML_ERRORS as error:
        raise _BadFileError(toml_reason(error, text, _File)) from None
    if update := values.pop("update"):
        if "strength" in keys:
            raise _BadFileError(at_key("update", "give a strength or an [update], not both", text))
        try:
            values["strength"] = bounded_strength(Update(*msgspec.structs.astuple(update)))
        except ValueError as error:
            raise _BadFileError(at_key("update", str(error), text)) from None
    return values
