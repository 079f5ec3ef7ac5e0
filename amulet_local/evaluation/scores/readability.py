"""Readability: the school grade a text asks for, the plain meaning of complex.

    grade = 0.39 words / sentences + 11.8 syllables / words - 15.59

(Kincaid et al. 1975, "Derivation of new readability formulas for Navy enlisted personnel".)
Syllables are those at which the package pyphen would hyphenate, one at least.
"""

from __future__ import annotations

from functools import lru_cache

import pyphen

from amulet_local.evaluation.scores.length import words
from amulet_local.evaluation.scores.sentiment import sentences


def readability(text: str) -> float:
    """The Flesch-Kincaid grade; 0 for an empty text."""
    said = words(text)
    if not said:
        return 0.0
    syllables = sum(_syllables(word) for word in said)
    return 0.39 * len(said) / len(sentences(text)) + 11.8 * syllables / len(said) - 15.59


@lru_cache(maxsize=1 << 16)
def _syllables(word: str) -> int:
    return len(_dictionary().positions(word)) + 1


@lru_cache(maxsize=1)
def _dictionary() -> pyphen.Pyphen:
    return pyphen.Pyphen(lang="en_US")
