"""How a reply is steered, and how its tokens are drawn."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from amulet_local.protocol.numbers import Fraction, Natural

USUAL_GUARD = 0.03  # more keeps replies from doing what they are asked; see docs/instructions.md
STRONGEST = 1000.0  # either way; beyond, logits lose the digits that tell tokens apart
MOST_FADERS = 6

Method = Literal["base", "pref", "la", "amulet"]
Placement = Literal["system", "turn"]
Strength = Annotated[float, msgspec.Meta(ge=-STRONGEST, le=STRONGEST)]


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a token is drawn from the realigned logits; llama.cpp's samplers and their usual names.

    temperature 0 is greedy. top_k 0, top_p 1, min_p 0, repeat_penalty 1, the two other penalties 0
    and dry_multiplier 0 each switch their sampler off. penalty_last_n counts tokens looked back.
    """

    temperature: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 0.7
    top_k: Natural = 40
    top_p: Fraction = 0.95
    min_p: Fraction = 0.05
    repeat_penalty: Annotated[float, msgspec.Meta(gt=0.0, le=10.0)] = 1.0
    frequency_penalty: Annotated[float, msgspec.Meta(ge=-10.0, le=10.0)] = 0.0
    presence_penalty: Annotated[float, msgspec.Meta(ge=-10.0, le=10.0)] = 0.0
    penalty_last_n: Natural = 64
    dry_multiplier: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.0
    dry_base: Annotated[float, msgspec.Meta(ge=1.0, le=10.0)] = 1.75
    dry_allowed_length: Natural = 2


class Fader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One preference of a mix. strength: signed; below 0 it leads away. name: of the preset that
    the words are from, empty for the user's own words; the engine does not read it. muted: it stays
    in the mix, and counts for nothing until it is heard again.
    """

    preference: Annotated[str, msgspec.Meta(pattern=r"\S")]
    strength: Strength = 1.0
    name: str = ""
    muted: bool = False


Mix = Annotated[tuple[Fader, ...], msgspec.Meta(max_length=MOST_FADERS)]


class Alignment(msgspec.Struct, frozen=True, kw_only=True):
    """How a reply is steered: towards what, by which method, how strongly, and how it is drawn.

    preference: in words, as the model reads it; empty for none. strength: where the dial stands
    for the method amulet; the others have their own (see realignment.METHODS). guard: the
    plausibility floor, as a share of the likeliest token's probability; 0 for none. placement:
    where preferences stand, in the system prompt or in the newest message.
    mix: several preferences, each with a strength of its own, in place of the two; `faders` has
    either, since one preference is a mix of one. Raises ValueError where both are given.
    """

    preference: str = ""
    method: Method = "amulet"
    strength: float = 1.0
    guard: Fraction = USUAL_GUARD
    placement: Placement = "system"
    sampling: Sampling = Sampling()
    mix: Mix = ()

    def __post_init__(self) -> None:
        if self.mix and self.preference:
            raise ValueError("a preference stands in the mix, or by itself")

    @property
    def faders(self) -> tuple[Fader, ...]:
        """All preferences, muted ones too; none where there is nothing to follow."""
        if self.mix or not self.preference:
            return self.mix
        return (Fader(self.preference, self.strength),)

    @property
    def heard(self) -> tuple[Fader, ...]:
        """Those that count."""
        return tuple(fader for fader in self.faders if not fader.muted)

    @property
    def preferences(self) -> tuple[str, ...]:
        """In words, what replies are led towards; an only one is, wherever its dial stands."""
        alone = len(self.faders) == 1
        return tuple(fader.preference for fader in self.heard if fader.strength > 0 or alone)
