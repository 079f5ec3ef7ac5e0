"""Preferences that are followed together: which, how strongly, and by whose guard and sampling.

Presets and words go in, in the order they were given; faders for the engine come out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec import structs

from amulet_local.errors import UsageError
from amulet_local.presets.calibrated import bearing, calibrated_strength, usual_strength
from amulet_local.presets.firmness import Firmness, strength_of
from amulet_local.presets.preset import USUAL_SAMPLING, Preset
from amulet_local.protocol.alignment import (
    MOST_FADERS,
    USUAL_GUARD,
    Fader,
    Placement,
    Sampling,
    Strength,
)


@dataclass(frozen=True)
class Chosen:
    """A preset, or words in its place. strength: None for the usual one on the model at hand."""

    preset: Preset | None = None
    words: str = ""
    strength: Strength | Firmness | None = None
    muted: bool = False

    @property
    def name(self) -> str:
        """The preset's; empty for words."""
        return self.preset.name if self.preset else ""

    @property
    def title(self) -> str:
        """What to call it: the words themselves, where there is no preset."""
        return (self.preset.title or self.preset.name) if self.preset else self.words

    @property
    def preference(self) -> str:
        """As the model reads it."""
        return self.preset.words() if self.preset else self.words

    def on(self, model: str) -> Fader:
        """Its fader on a model (the path of its file; empty for none)."""
        if self.strength is None:
            strength = usual_strength(model, self.preset)
        else:
            strength = strength_of(self.strength, bearing(model))
        return Fader(self.preference, strength, self.name, self.muted)


@dataclass(frozen=True)
class Together:
    """What several preferences are followed with, beside their strengths."""

    guard: float = USUAL_GUARD
    placement: Placement = "system"
    system: str = ""
    sampling: Sampling = USUAL_SAMPLING

    @classmethod
    def of(cls, faders: Sequence[Chosen]) -> Together:
        """The strictest guard, the first system prompt; the newest message, where a preset wants
        that, since all stand in one place; the sampling of an only preset."""
        presets = [fader.preset for fader in faders if fader.preset]
        if not presets:
            return cls()
        turn = any(preset.placement == "turn" for preset in presets)
        return cls(
            max(preset.guard for preset in presets),
            "turn" if turn else "system",
            next((preset.system for preset in presets if preset.system), ""),
            presets[0].sampling if len(faders) == 1 else USUAL_SAMPLING,
        )


def without_doubles(faders: Iterable[Chosen]) -> tuple[list[Chosen], list[str]]:
    """The same, each preference once, as it was given last; and the titles of those that were given
    more than once. Raises UsageError where too many are left."""
    found: dict[str, Chosen] = {}
    doubled: dict[str, None] = {}
    for fader in faders:
        if fader.preference in found:
            doubled[fader.title] = None
        found[fader.preference] = fader
    if len(found) > MOST_FADERS:
        raise UsageError(
            f"a mix can have at most {MOST_FADERS} preferences, not {len(found)}; leave some out."
        )
    return list(found.values()), list(doubled)


# -- too much -------------------------------------------------------------------------------------


def total(faders: Iterable[Fader]) -> float:
    """How far faders lead in all, whichever way: the sum of what their strengths are without their
    signs, muted ones apart."""
    return math.fsum(abs(fader.strength) for fader in faders if not fader.muted)


def borne(model: str, presets: Iterable[Preset]) -> float:
    """How much a model bears of these together: what calibration found for it in general, or for
    the one of them that it bears most of (see calibrated.py)."""
    found = (calibrated_strength(model, preset) if model else None for preset in presets)
    return max([bearing(model), *(strength for strength in found if strength is not None)])


def scaled(faders: Sequence[Fader], most: float) -> tuple[Fader, ...]:
    """The same faders, turned together so that they come to this in all; muted ones with them."""
    now = total(faders)
    by = most / now if now else 1.0
    return tuple(structs.replace(fader, strength=fader.strength * by) for fader in faders)
