"""Words and letters that must, or must not, stand in a text, in any case.

As in IFEval, a word to include may be part of a longer one ("sun" is in "Sunday"), while a
forbidden word is a word by itself. Words are taken literally, not as patterns.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from amulet_local.verifiers.kind import Count, Kind, Relation, Words, holds

_Several = Annotated[tuple[Words, ...], msgspec.Meta(min_length=1, max_length=100)]
_Letter = Annotated[str, msgspec.Meta(min_length=1, max_length=1)]


class KeywordsExist(Kind, frozen=True, tag="keywords:existence"):
    """All of these words stand in the text."""

    keywords: _Several

    def follows(self, text: str) -> bool:
        """Whether each is found at least once."""
        return all(_literally(word).search(text) for word in self.keywords)


class KeywordFrequency(Kind, frozen=True, tag="keywords:frequency"):
    """A word stands in the text so many times."""

    keyword: Words
    frequency: Count
    relation: Relation

    def __post_init__(self) -> None:
        if not self.keyword.strip():
            raise ValueError("keyword has no words")

    def follows(self, text: str) -> bool:
        """Whether it is found as often as that; finds do not overlap."""
        found = sum(1 for _ in _literally(self.keyword.strip()).finditer(text))
        return holds(found, self.relation, self.frequency)


class ForbiddenWords(Kind, frozen=True, tag="keywords:forbidden_words"):
    """None of these words stands in the text."""

    forbidden_words: _Several

    def follows(self, text: str) -> bool:
        """Whether none is found with no letter, digit or underscore directly around it."""
        return not any(
            re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)
            for word in self.forbidden_words
        )


class LetterFrequency(Kind, frozen=True, tag="keywords:letter_frequency"):
    """A letter, or any other character, stands in the text so many times."""

    letter: _Letter
    let_frequency: Count
    let_relation: Relation

    def follows(self, text: str) -> bool:
        """Whether it is found as often as that, small and capital together."""
        found = text.lower().count(self.letter.lower())
        return holds(found, self.let_relation, self.let_frequency)


def _literally(words: str) -> re.Pattern[str]:
    return re.compile(re.escape(words), re.IGNORECASE)
