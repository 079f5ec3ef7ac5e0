"""How replies of a chat are steered: to which preferences, how strongly, by whose choice.

Plain values, which screens show and requests are made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from amulet_local.presets.calibrated import usual_strength
from amulet_local.presets.mixing import Chosen, Together
from amulet_local.presets.preset import USUAL_SAMPLING, USUAL_STRENGTH, Preset
from amulet_local.protocol.alignment import STRONGEST, USUAL_GUARD, Fader, Placement, Sampling
from amulet_local.strengths import overall

GUARDS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3)  # one after the other, by key
_LONGEST_TITLE = 24


@dataclass(frozen=True)
class FaderChoice:
    """One preference: a preset's, or in words. given: whether somebody chose the strength. muted:
    it is not heard; solo: only those that are solo are, as long as there are any."""

    preset: Preset | None = None
    words: str = ""
    strength: float = USUAL_STRENGTH
    given: bool = field(default=True, compare=False)
    muted: bool = False
    solo: bool = False

    @classmethod
    def of(cls, chosen: Chosen, model: str) -> FaderChoice:
        """As it was chosen, at what that comes to on a model (the path of its file)."""
        strength, given = chosen.on(model).strength, chosen.strength is not None
        return cls(chosen.preset, chosen.words, strength, given, chosen.muted)

    @property
    def chosen(self) -> Chosen:
        """To be kept in a mix."""
        return Chosen(self.preset, self.words, self.strength if self.given else None, self.muted)

    def at(self, strength: float) -> FaderChoice:
        """The same at a strength that somebody chose, as far as there are strengths."""
        return replace(self, strength=max(-STRONGEST, min(STRONGEST, strength)), given=True)

    def is_heard(self, solo: bool) -> bool:
        """Whether it counts. solo: whether any fader is solo."""
        return self.solo if solo else not self.muted

    @property
    def preference(self) -> str:
        """What the model reads of it."""
        return self.words or (self.preset.words() if self.preset else "")

    @property
    def title(self) -> str:
        """What to call it."""
        if self.preset:
            return self.preset.title or self.preset.name
        words = " ".join(self.words.split())
        return words if len(words) <= _LONGEST_TITLE else f"{words[: _LONGEST_TITLE - 1]}…"


@dataclass(frozen=True)
class SteeringChoice:
    """What replies are realigned to, and how strongly; without a preference, to their wishes alone.

    words: a preference of this chat's own, in place of a preset. given: whether somebody chose the
    strength; else it is the usual one, which hangs on the model (see
    `at_usual_strength`). mix: several preferences, in place of the preset or the words; strength is
    then how far they lead in all (see realignment.overall).
    """

    preset: Preset | None = None
    words: str = ""
    strength: float = USUAL_STRENGTH
    guard: float = USUAL_GUARD
    placement: Placement = "system"
    given: bool = field(default=True, compare=False)
    mix: tuple[FaderChoice, ...] = ()
    together: Together | None = None

    @classmethod
    def to_preset(cls, preset: Preset | None, strength: float | None = None) -> SteeringChoice:
        """As the preset says, at its usual strength or another; no preset steers nowhere."""
        if preset is None:
            return cls(given=False)
        given = strength is not None
        strength = preset.usual_strength if strength is None else strength
        return cls(preset, "", strength, preset.guard, preset.placement, given)

    @classmethod
    def to_mix(
        cls, faders: Sequence[FaderChoice], together: Together | None = None
    ) -> SteeringChoice:
        """By these faders; one that is heard alone is a preset or words as ever."""
        kept = together or Together.of([fader.chosen for fader in faders])
        if not faders:
            return cls(given=False)
        if len(faders) == 1 and not faders[0].muted:
            (one,) = faders
            about = (one.preset, one.words, one.strength, kept.guard, kept.placement, one.given)
            return cls(*about)
        strengths = [fader.strength for fader in heard(faders)]
        strength = overall(strengths)
        return cls(None, "", strength, kept.guard, kept.placement, True, tuple(faders), together)

    def with_faders(self, faders: Sequence[FaderChoice]) -> SteeringChoice:
        """The same with other faders; what was set of guard and placement stays."""
        kept = self.together or Together.of([fader.chosen for fader in faders])
        turned = SteeringChoice.to_mix(faders, self.together)
        stays = len(faders) > 0 and bool(self.faders)
        guard = max(self.guard, kept.guard) if stays else turned.guard
        return replace(turned, guard=guard, placement=self.placement) if stays else turned

    def at(self, strength: float) -> SteeringChoice:
        """The same at a strength that somebody chose; faders are turned together, and alike where
        they lead nowhere."""
        listened = heard(self.mix)
        now = overall([it.strength for it in listened])
        mix = self.mix
        if now:
            mix = tuple(it.at(it.strength * strength / now) for it in mix)
        elif listened:
            alike = strength / len(listened)
            mix = tuple(it.at(alike) if it in listened else it for it in mix)
        return replace(self, strength=strength, given=True, mix=mix)

    @classmethod
    def to_words(cls, words: str) -> SteeringChoice:
        """A preference in the user's own words; none leaves the model as it is."""
        return cls(words=words, given=False)

    @property
    def faders(self) -> tuple[FaderChoice, ...]:
        """All preferences, also where there is one."""
        if self.mix or not (self.words or self.preset):
            return self.mix
        return (FaderChoice(self.preset, self.words, self.strength, self.given),)

    @property
    def told(self) -> tuple[Fader, ...]:
        """All faders as the engine hears of them."""
        faders = self.faders
        solo = any(fader.solo for fader in faders)
        return tuple(
            Fader(fader.preference, fader.strength, fader.chosen.name, not fader.is_heard(solo))
            for fader in faders
        )

    @property
    def preference(self) -> str:
        """What the model reads of it; empty for none. Of a mix, what is heard and led towards."""
        if self.mix:
            faders = heard(self.mix)
            towards = [fader for fader in faders if fader.strength > 0] or faders
            return " ".join(fader.preference for fader in towards)
        return self.words or (self.preset.words() if self.preset else "")

    @property
    def lacking(self) -> str:
        """What to do to have a preference, in half a sentence."""
        return "Unmute a preference first" if self.mix else "Choose a preset first"

    @property
    def title(self) -> str:
        """What to call it."""
        if self.mix:
            return titled(self.mix)
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
        if self.mix:
            return self._together.system
        return self.preset.system if self.preset else ""

    @property
    def sampling(self) -> Sampling:
        """How tokens are drawn."""
        if self.mix:
            return self._together.sampling
        if self.words:
            return USUAL_SAMPLING
        return self.preset.sampling if self.preset else Sampling()

    @property
    def kept(self) -> Together:
        """What its faders are followed with."""
        return Together(self.guard, self.placement, self.system, self.sampling)

    @property
    def _together(self) -> Together:
        return self.together or Together.of([fader.chosen for fader in self.mix])


def heard(faders: Sequence[FaderChoice]) -> list[FaderChoice]:
    """Those that count."""
    solo = any(fader.solo for fader in faders)
    return [fader for fader in faders if fader.is_heard(solo)]


def titled(faders: Sequence[FaderChoice]) -> str:
    """Those that are heard, with what is led away from behind a minus."""
    parts: list[str] = []
    for fader in heard(faders):
        sign = "−" if fader.strength < 0 else "+" if parts else ""
        parts.append(f"{sign} {fader.title}" if sign else fader.title)
    return " ".join(parts) or "All muted"


def at_usual_strength(steering: SteeringChoice, file: str) -> SteeringChoice:
    """The same at the strengths that are usual on a model, where nobody chose one. file: the
    model's path; empty for none."""
    if steering.mix:
        suited = [
            it if it.given else replace(it, strength=usual_strength(file, it.preset))
            for it in steering.mix
        ]
        strength = overall([fader.strength for fader in heard(suited)])
        return replace(steering, mix=tuple(suited), strength=strength)
    if steering.given:
        return steering
    preset = None if steering.words else steering.preset
    if preset:
        preset = msgspec.structs.replace(preset, guard=steering.guard, placement=steering.placement)
    return replace(steering, strength=usual_strength(file, preset))


def same_preferences(*choices: SteeringChoice) -> bool:
    """Whether they differ in strengths at most, and in what is heard: by the engine's request, each
    has the same faders in the same order."""

    def kept(choice: SteeringChoice) -> SteeringChoice:
        still = tuple(replace(it, strength=0.0, muted=False, solo=False) for it in choice.mix)
        return replace(choice, strength=0.0, mix=still)

    return all(kept(choice) == kept(choices[0]) for choice in choices)


def strengths_told(steering: SteeringChoice) -> tuple[float | None, ...]:
    """What the engine is told of a reply under way; see protocol.Steer."""
    if not steering.mix:
        return (steering.strength,)
    return tuple(None if fader.muted else fader.strength for fader in steering.told)
