"""Numbers within bounds, for the fields of settings and messages."""

from __future__ import annotations

from typing import Annotated

import msgspec

MOST_WHOLE = 2**31 - 1  # what llama.cpp can count to

Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=MOST_WHOLE)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=MOST_WHOLE)]

# What events tell. A bound also keeps out what is no number (NaN).
Piece = Annotated[str, msgspec.Meta(max_length=1_000_000)]  # that one token adds to a text
Amount = Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]  # seconds, or tokens a second
Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.001)]  # of float32, rounded
LogProbability = Annotated[float, msgspec.Meta(le=0.001)]  # -inf where it is ruled out
Divergence = Annotated[float, msgspec.Meta(ge=-0.001)]
AnyStrength = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
FlipStrength = Annotated[float, msgspec.Meta(ge=-1e9)]  # inf where there is none
AnyShare = Annotated[float, msgspec.Meta(ge=-1e38, le=1e38)]  # nats
