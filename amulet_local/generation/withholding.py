"""Words that a reply must not say: which tokens would complete one of them, by text.

Not by the tokens that usually spell a word: where those are ruled out, a model finds others
("nourritURE", or letter by letter). What counts is the text so far and what a token would add to
it, in small letters. A word ends where no letter, digit or underscore follows it; so a token that
completes a word is ruled out even where the next one could have made a longer word of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from amulet_local.realignment import Withheld

if TYPE_CHECKING:
    from amulet_local.runtime.llama.vocabulary import Vocabulary

_MOST_LETTERS = 100
_NOT_OF_WORDS = re.compile(r"\A\W+")
_ByFirst = defaultdict[str, list[tuple[str, int]]]


def withheld(words: Iterable[str], vocabulary: Vocabulary) -> tuple[Withheld, ...]:
    """For each word, the tokens that would complete it after its first 0, 1, 2... letters; the
    last entry is of those that bring a mark or a space, and then all of it."""
    several = sorted({word.lower()[:_MOST_LETTERS] for word in words})
    return tuple((word, _completions(word, vocabulary)) for word in several)


def completing(text: str, words: Iterable[Withheld]) -> set[int]:
    """The tokens that may not follow a text."""
    text = text.lower()
    ruled_out: set[int] = set()
    for word, completions in words:
        ruled_out.update(completions[-1])
        for count, tokens in enumerate(completions[:-1]):
            start = len(text) - count
            if text.endswith(word[:count]) and not (start > 0 and _inside(text[start - 1], word)):
                ruled_out.update(tokens)
    return ruled_out


def _inside(before: str, word: str) -> bool:
    """Whether a word that begins behind this letter is only the end of another one."""
    return _is_of_words(before) and _is_of_words(word[0])


def _is_of_words(letter: str) -> bool:
    return not _NOT_OF_WORDS.match(letter)


def _completions(word: str, vocabulary: Vocabulary) -> tuple[tuple[int, ...], ...]:
    whole, behind_marks = _texts(vocabulary)
    rests = (word[count:] for count in range(len(word)))
    return (*(tuple(_ending(rest, whole)) for rest in rests), tuple(_ending(word, behind_marks)))


def _ending(rest: str, texts: _ByFirst) -> Iterator[int]:
    """The tokens whose text begins with the rest of a word, which ends there."""
    for text, token in texts[rest[0]]:
        if text.startswith(rest):
            following = text[len(rest) : len(rest) + 1]
            if not (following and _is_of_words(following) and _is_of_words(rest[-1])):
                yield token


@lru_cache(maxsize=2)  # a model at work, and one beside it
def _texts(vocabulary: Vocabulary) -> tuple[_ByFirst, _ByFirst]:
    """The text of every token, by its first letter; and of those that begin with marks or spaces,
    what stands behind these. Tokens that are but a part of a letter have none."""
    whole, behind_marks = _ByFirst(list), _ByFirst(list)
    for token, piece in enumerate(vocabulary.pieces()):
        text = piece.decode("utf-8", "ignore").lower()
        if not text:
            continue
        whole[text[0]].append((text, token))
        if not text[0].isalnum():
            behind = _NOT_OF_WORDS.sub("", text, 1)
            if behind:
                behind_marks[behind[0]].append((behind, token))
    return whole, behind_marks
