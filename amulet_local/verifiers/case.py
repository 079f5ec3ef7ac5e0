"""Capital and small letters: all of one kind, or so many words in capitals.

IFEval also asks whether text of one case is in English. What a user wishes holds in any language,
so that there are two more kinds, which do not ask.
"""

from __future__ import annotations

import re

from amulet_local.verifiers.kind import Count, Kind, Relation, holds
from amulet_local.verifiers.language import language_of

# Words as the Penn Treebank divides them: marks stand by themselves, but for . / - ' and others
# inside a word, and : or , before a digit; contractions are two words, DO N'T and CAN NOT.
_BETWEEN = re.compile(r"[\s;@#$%&?!()\[\]{}<>\"“”„«»‘’`—–]+|--+|\.\.\.|[:,](?!\d)|''|(?<=\.)(?=\*)")
_CONTRACTIONS = re.compile(
    r"(?<=\w)(?=n't\b|'(?:s|m|d|ll|re|ve)\b)|(?<=\bcan)(?=not\b)|(?<=\b(?:gon|wan))(?=na\b)"
    r"|(?<=\bgot)(?=ta\b)|(?<=\b(?:gim|lem))(?=me\b)|(?<=\bd)(?='ye\b)|(?<=\bmore)(?='n\b)"
    r"|(?<='t)(?=(?:is|was)\b)",
    re.IGNORECASE,
)


class CapitalWordFrequency(Kind, frozen=True, tag="change_case:capital_word_frequency"):
    """So many words in capitals."""

    capital_frequency: Count
    capital_relation: Relation

    def follows(self, text: str) -> bool:
        """Whether there are as many words, all of whose letters are capital, as that."""
        return holds(_capital_words(text), self.capital_relation, self.capital_frequency)


class EnglishCapital(Kind, frozen=True, tag="change_case:english_capital"):
    """All letters capital, and the text English.

    `follows` raises NotUsableError where langdetect is not installed.
    """

    def follows(self, text: str) -> bool:
        """Whether no letter is small, and English its likeliest language."""
        return text.isupper() and language_of(text) == "en"


class EnglishLowercase(Kind, frozen=True, tag="change_case:english_lowercase"):
    """All letters small, and the text English.

    `follows` raises NotUsableError where langdetect is not installed.
    """

    def follows(self, text: str) -> bool:
        """Whether no letter is capital, and English its likeliest language."""
        return text.islower() and language_of(text) == "en"


class Capital(Kind, frozen=True, tag="change_case:capital"):
    """All letters capital, in any language; not in IFEval."""

    def follows(self, text: str) -> bool:
        """Whether no letter is small, of those that have a capital one."""
        return not any(letter.islower() and letter.upper() != letter for letter in text)


class Lowercase(Kind, frozen=True, tag="change_case:lowercase"):
    """All letters small, in any language; not in IFEval."""

    def follows(self, text: str) -> bool:
        """Whether no letter is capital."""
        return not any(map(str.isupper, text))


def _capital_words(text: str) -> int:
    pieces = (piece for piece in _BETWEEN.split(text) if piece)
    return sum(word.isupper() for piece in pieces for word in _CONTRACTIONS.split(piece))
