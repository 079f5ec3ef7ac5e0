"""What a preference means on its face, where that can be counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amulet_local.evaluation.scores.formality import contractions
from amulet_local.evaluation.scores.length import length
from amulet_local.evaluation.scores.readability import readability
from amulet_local.evaluation.scores.sentiment import sentiment
from amulet_local.evaluation.scores.variety import variety


@dataclass(frozen=True)
class Face:
    """A measure of a text, and which way the preference asks for. unit: for people."""

    name: str
    unit: str
    measure: Callable[[str], float]
    more: bool


FACES = {
    "concise": Face("length", "words", length, more=False),
    "verbose": Face("length", "words", length, more=True),
    "uplifting": Face("sentiment", "-1 to 1", sentiment, more=True),
    "pleasant": Face("sentiment", "-1 to 1", sentiment, more=True),
    "complex": Face("readability", "school grade", readability, more=True),
    "formal": Face("contractions", "per 100 words", contractions, more=False),
    "creative": Face("variety", "distinct-2", variety, more=True),
}
