"""How replies of a chat are steered: to which preference, how strongly, by whose choice.

Plain values, which screens show and requests are made from.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from amulet_local.presets.calibrated import usual_strength
from amulet_local.presets.preset import USUAL_SAMPLING, USUAL_STRENGTH, Preset
from amulet_local.protocol.alignment import USUAL_GUARD, Placement, Sampling

GUARDS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3)  # one after the other, by key


@dataclass(frozen=True)
class SteeringChoice:
    """What replies are realigned to, and how strongly; without a preference, to their wishes alone.

    words: a preference of this chat's own, in place of a preset. given: whether somebody chose the
    strength; else it is the usual one, which hangs on the model (see
    `at_usual_strength`).
    """

    preset: Preset | None = None
    words: str = ""
    strength: float = USUAL_STRENGTH
    guard: float = USUAL_GUARD
    placement: Placement = "system"
    given: bool = field(default=True, compare=False)

    @classmethod
    def to_preset(cls, preset: Preset | None, strength: float | None = None) -> SteeringChoice:
        """As the preset says, at its usual strength or another; no preset steers nowhere."""
        if preset is None:
            return cls(given=False)
        given = strength is not None
        strength = preset.usual_strength if strength is None else strength
        return cls(preset, "", strength, preset.guard, preset.placement, given)

    def at(self, strength: float) -> SteeringChoice:
        """The same at a strength that somebody chose."""
        return replace(self, strength=strength, given=True)

    @classmethod
    def to_words(cls, words: str) -> SteeringChoice:
        """A preference in the user's own words; none leaves the model as it is."""
        return cls(words=words, given=False)

    @property
    def preference(self) -> str:
        """What the model reads of it; empty for none."""
        return self.words or (self.preset.words() if self.preset else "")

    @property
    def title(self) -> str:
        """What to call it."""
        if self.words:
            return "Your own words"
        return (self.preset.title or self.preset.name) if self.preset else "No preset"

    def followed(self, wish: str) -> str:
        """What to call that which a reply with this wish follows."""
        if not wish:
            return self.title
        return f"{self.title} + wish" if self.preference else "Your wish"

    @property
    def system(self) -> str:
        """A system prompt in place of the usual one; empty for that."""
        return self.preset.system if self.preset else ""

    @property
    def sampling(self) -> Sampling:
        """How tokens are drawn."""
        if self.words:
            return USUAL_SAMPLING
        return self.preset.sampling if self.preset else Sampling()


def at_usual_strength(steering: SteeringChoice, file: str) -> SteeringChoice:
    """The same at the strength that is usual on a model, where nobody chose one. file: the model's
    path; empty for none."""
    if steering.given:
        return steering
    preset = None if steering.words else steering.preset
    if preset:
        preset = msgspec.structs.replace(preset, guard=steering.guard, placement=steering.placement)
    return replace(steering, strength=usual_strength(file, preset))
