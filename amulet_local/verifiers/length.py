"""How long a text is, in words, sentences and paragraphs, and how one of its paragraphs begins."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from amulet_local.verifiers.kind import Count, Kind, Relation, Words, holds
from amulet_local.verifiers.sentences import sentences, word_count

_Place = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class NumberWords(Kind, frozen=True, tag="length_constraints:number_words"):
    """So many words: runs of letters, digits and underscores."""

    num_words: Count
    relation: Relation

    def follows(self, text: str) -> bool:
        """Whether there are as many words as that."""
        return holds(word_count(text), self.relation, self.num_words)


class NumberSentences(Kind, frozen=True, tag="length_constraints:number_sentences"):
    """So many sentences, as `sentences` tells them apart."""

    num_sentences: Count
    relation: Relation

    def follows(self, text: str) -> bool:
        """Whether there are as many sentences as that."""
        return holds(len(sentences(text)), self.relation, self.num_sentences)


class NumberParagraphs(Kind, frozen=True, tag="length_constraints:number_paragraphs"):
    """Exactly so many paragraphs, with three asterisks between them."""

    num_paragraphs: _Place

    def follows(self, text: str) -> bool:
        """Whether there are; dividers at both ends are allowed, two in a row are not."""
        parts = [bool(part.strip()) for part in text.split("***")]
        return all(parts[1:-1]) and sum(parts) == self.num_paragraphs


class Paragraphs(Kind, frozen=True, tag="length_constraints:paragraphs"):
    """So many paragraphs, with blank lines between them. Not in IFEval."""

    num_paragraphs: Count
    relation: Relation

    def follows(self, text: str) -> bool:
        """Whether there are as many paragraphs as that."""
        return holds(len(_paragraphs(text)), self.relation, self.num_paragraphs)


class NthParagraphFirstWord(Kind, frozen=True, tag="length_constraints:nth_paragraph_first_word"):
    """Exactly so many paragraphs, blank lines between them, of which one begins with a word."""

    num_paragraphs: _Place
    nth_paragraph: _Place
    first_word: Words

    def __post_init__(self) -> None:
        if self.nth_paragraph > self.num_paragraphs:
            raise ValueError("nth_paragraph is more than num_paragraphs")

    def follows(self, text: str) -> bool:
        """Whether they do; case, leading quotation marks and punctuation behind do not count."""
        paragraphs = _paragraphs(text)
        if len(paragraphs) != self.num_paragraphs:
            return False
        word = paragraphs[self.nth_paragraph - 1].split(maxsplit=1)[0].lower().lstrip("'\"")
        wanted = self.first_word.strip().lower()
        return wanted in {
            re.split(marks, word, maxsplit=1)[0] for marks in ('[.,?!"]', "[.,?!\"']")
        }


def _paragraphs(text: str) -> list[str]:
    return [part for part in text.split("\n\n") if part.strip()]
