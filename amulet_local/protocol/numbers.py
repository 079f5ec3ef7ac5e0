"""Numbers within bounds, for the fields of settings and messages."""

from __future__ import annotations

from typing import Annotated

import msgspec

MOST_WHOLE = 2**31 - 1  # what llama.cpp can count to

Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=MOST_WHOLE)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=MOST_WHOLE)]
