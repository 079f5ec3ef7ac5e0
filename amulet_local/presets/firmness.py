"""How firmly a preference is followed, in a word; how strong that is depends on what a model bears.

    strength = 1 + share (bearing - 1)

share: 1/4, 1/2 and 1 for gently, clearly and firmly. bearing: the strength up to which a model
follows a preference better and still writes as well, which `amulet calibrate` measures;
USUAL_BEARING where nobody has (docs/alignment.md has the study behind both).
"""

from __future__ import annotations

import re
from typing import Literal, get_args

import msgspec

from amulet_local.protocol.alignment import Strength
from amulet_local.strengths import PROMPT

Firmness = Literal["gently", "clearly", "firmly"]
WORDS: tuple[Firmness, ...] = get_args(Firmness)
USUAL_BEARING = 3.0
USUAL_FIRMNESS: Firmness = "clearly"

# Behind words, a colon is more often punctuation than not: only a number that ends them counts, and
# not as part of another one, as in 3:2.
_WORDS_AND_STRENGTH = re.compile(r"(.*[^\s\d:])\s*:\s*([+-]?\d+(?:[.,]\d+)?)\s*", re.DOTALL)

_SHARES: dict[Firmness, float] = {"gently": 0.25, "clearly": 0.5, "firmly": 1.0}


def strength_of(asked: Strength | Firmness, bearing: float = USUAL_BEARING) -> float:
    """The strength that a word comes to on a model of this bearing; a number stays what it is."""
    if isinstance(asked, str):
        return PROMPT + _SHARES[asked] * (bearing - PROMPT)
    return asked


def shown(asked: Strength | Firmness) -> str:
    """As files and forms say it."""
    return asked if isinstance(asked, str) else f"{asked:.3g}"


def typed(text: str) -> float:
    """The strength that somebody is typing. Raises ValueError."""
    text = text.strip().replace(",", ".")
    word = next((word for word in WORDS if word == text), None)
    return strength_of(word) if word else float(text)


def parted(text: str) -> tuple[str, str]:
    """A name or words, and the number behind the colon that ends them, or nothing."""
    found = _WORDS_AND_STRENGTH.fullmatch(text)
    return (found[1].strip(), found[2]) if found else (text.strip(), "")


def as_strength(text: str) -> Strength:
    """The strength that is typed as a number, with a point or a comma. Raises
    msgspec.ValidationError for anything else, and beyond the strengths that there are."""
    return msgspec.convert(text.strip().replace(",", "."), Strength, strict=False)
