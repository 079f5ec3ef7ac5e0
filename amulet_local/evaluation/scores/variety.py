"""Variety: how many of a reply's word pairs are new, as far as creative can be counted.

    distinct-2 = different word pairs / word pairs, of the first 60 words

(Li et al. 2016, arXiv 1510.03055.) Of the first words only, since longer texts repeat more.
"""

from __future__ import annotations

from amulet_local.evaluation.scores.length import words
from amulet_local.evaluation.scores.repetition import distinct

_FIRST = 60


def variety(text: str) -> float:
    """The share of different pairs; 1 where there are none."""
    return distinct(words(text)[:_FIRST], 2)
