"""Strengths that `amulet calibrate` found for a model: one for each preset it was asked for.

Each model has a small JSON file in the data folder. What the replies of a preset depend on is kept
with its strength, so that a preset that was changed since is not taken for the one measured.
"""

from __future__ import annotations

import msgspec

from amulet_local.files import read_json, write_whole
from amulet_local.presets.firmness import USUAL_BEARING, USUAL_FIRMNESS, strength_of
from amulet_local.presets.preset import Preset
from amulet_local.presets.quality import Quality
from amulet_local.protocol.alignment import Placement, Strength
from amulet_local.settings import strengths_file

_IN_GENERAL = ""  # what stands for all presets; none can have this name
_MOST_BYTES = 1 << 20


class Calibrated(msgspec.Struct, frozen=True):
    """A strength, with what it was found for. perplexity, distinct_3, on_question: what replies
    at it came to, in times those of prompting."""

    strength: Strength
    preference: str
    guard: float
    placement: Placement
    perplexity: float
    distinct_3: float
    on_question: float

    @classmethod
    def of(cls, preset: Preset, best: Quality) -> Calibrated:
        """What was found for a preset."""
        return cls(
            best.strength,
            preset.preference,
            preset.guard,
            preset.placement,
            round(best.perplexity, 3),
            round(best.distinct_3, 3),
            round(best.on_question, 3),
        )

    def belongs_to(self, preset: Preset) -> bool:
        """Whether it was found for the preset as it is now."""
        then = (self.preference, self.guard, self.placement)
        return then == (preset.preference, preset.guard, preset.placement)


def calibrated_strength(model: str, preset: Preset) -> float | None:
    """The strength found for a preset on a model (the path of its file); None without one."""
    found = _read(model).get(preset.name)
    return found.strength if found and found.belongs_to(preset) else None


def usual_strength(model: str, preset: Preset | None) -> float:
    """The strength where none is given: what was found for the model (the path of its file; "" for
    none) and the preset as it is used, guard and placement included; else what the preset says, on
    a model that bears as much as this one. None: for a preference in words."""
    found = calibrated_strength(model, preset) if model and preset else None
    if found is not None:
        return found
    return strength_of(preset.strength if preset else USUAL_FIRMNESS, bearing(model))


def bearing(model: str) -> float:
    """The strength that a model bears in general (the path of its file; "" for none)."""
    found = _read(model).get(_IN_GENERAL) if model else None
    return found.strength if found else USUAL_BEARING


def is_bearing_known(model: str) -> bool:
    """Whether somebody measured what a model bears (the path of its file)."""
    return _IN_GENERAL in _read(model)


def keep_bearing(model: str, found: Calibrated) -> None:
    """Keep what was found for no preset in particular. Raises OSError."""
    _write(model, {**_read(model), _IN_GENERAL: found})


def keep_strength(model: str, preset: Preset, found: Calibrated) -> None:
    """Keep what was found, in place of what was before. Raises OSError."""
    _write(model, {**_read(model), preset.name: found})


def forget_strengths(model: str, names: list[str]) -> list[str]:
    """Forget the strengths of these presets, of all where none is named; returns which those are.

    Raises OSError.
    """
    kept = _read(model)
    gone = [name for name in kept if name in names or not names]
    if gone:
        _write(model, {name: found for name, found in kept.items() if name not in gone})
    return gone


def _read(model: str) -> dict[str, Calibrated]:
    try:
        return read_json(strengths_file(model), _MOST_BYTES, dict[str, Calibrated])
    except (OSError, ValueError):  # none yet, or damaged: as good as none
        return {}


def _write(model: str, strengths: dict[str, Calibrated]) -> None:
    write_whole(strengths_file(model), msgspec.json.format(msgspec.json.encode(strengths)))
