"""How a reply is steered, and how its tokens are drawn."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from amulet_local.protocol.numbers import Fraction, Natural

USUAL_GUARD = 0.03  # more keeps replies from doing what they are asked; see docs/instructions.md
STRONGEST = 1000.0  # either way; beyond, logits lose the digits that tell tokens apart

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


class Alignment(msgspec.Struct, frozen=True, kw_only=True):
    """How a reply is steered: towards what, by which method, how strongly, and how it is drawn.

    preference: in words, as the model reads it; empty for none. strength: where the dial stands
    for the method amulet; the others have their own (see realignment.METHODS). guard: the
    plausibility floor, as a share of the likeliest token's probability; 0 for none. placement:
    where the preference stands, in the system prompt or in the newest message.
    """

    preference: str = ""
    method: Method = "amulet"
    strength: float = 1.0
    guard: Fraction = USUAL_GUARD
    placement: Placement = "system"
    sampling: Sampling = Sampling()
