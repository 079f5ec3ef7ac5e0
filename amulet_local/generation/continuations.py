"""What a model said after the same last words before: a table of continuations that grows.

Token ids go in, one reply after another. Of a text's last 4, 3, 2 tokens or the last one, the
longest run that occurred before is looked up: out comes the token that most often followed it, and
how far such a guess can be trusted. It is a suffix table as in
llama.cpp's lookup caches, in a fixed number of places, so that it never outgrows its size, and old
contexts give way to new ones. Of a text it holds token ids and counts alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

LONGEST_CONTEXT = 4  # tokens; five gained nothing
_BITS = 16
_PLACES = 1 << _BITS
_COLUMNS = 5  # tag of the context; first and second continuation, each before its count
_MOST = 15  # at which counts are halved, so that the model's later habits outweigh earlier ones
_MIX, _ALL = 0x9E3779B97F4A7C15, (1 << 64) - 1  # Fibonacci hashing (Knuth, vol. 3, 6.4)
_COUNTS, _AGREEMENTS = 4, 3
_RECORDS = LONGEST_CONTEXT * _COUNTS * _AGREEMENTS


class Record:
    """The share of guesses that were right, starting from a belief worth a few guesses."""

    def __init__(self, belief: float, guesses: float = 4.0) -> None:
        self.right, self.guesses = guesses * belief, guesses

    @property
    def acceptance(self) -> float:
        """The chance that the next guess of this kind is right."""
        return self.right / self.guesses

    def add(self, right: bool) -> None:
        """Older guesses count less and less."""
        self.right = 0.95 * self.right + right
        self.guesses = 0.95 * self.guesses + 1


Prediction = tuple[int, Record]  # a token, and how far guesses like this one can be trusted


class Continuations:
    """The table of one model, 1.3 MB."""

    def __init__(self) -> None:
        self._rows = np.zeros((_PLACES, _COLUMNS), np.uint32)
        self._records = [Record(0.2) for _ in range(_RECORDS)]

    @classmethod
    def of(cls, state: memoryview, vocabulary: int) -> Continuations:
        """What `state` gave. Raises ValueError for what is none of a vocabulary of this size."""
        table = cls()
        size = table._rows.nbytes
        records = np.frombuffer(state[size:], np.float32).reshape(_RECORDS, 2)
        table._rows = np.frombuffer(state[:size], np.uint32).reshape(_PLACES, _COLUMNS).copy()
        right, guesses = records.T
        believable = ((right >= 0) & (right <= guesses) & (guesses >= 1)).all()
        if table._rows[:, 1::2].max() >= vocabulary or not believable:
            raise ValueError("no table of this model")
        table._records = [Record(r / g, g) for r, g in records.tolist()]
        return table

    def state(self) -> list[bytes]:
        """All of it, in blocks."""
        records = [(each.right, each.guesses) for each in self._records]
        return [self._rows.tobytes(), np.array(records, np.float32).tobytes()]

    def predict(self, text: Sequence[int]) -> Prediction | None:
        """What may come next, by the longest context that is known. That alone is asked: where it
        is short, the longer ones are new, and how often it is right then is another matter."""
        found = None
        for length, (place, tag) in enumerate(_places(text[-LONGEST_CONTEXT:])):
            known, token, count, _, other = self._rows[place].tolist()
            if known == tag:
                found = token, self._records[_kind(length, count, other)]
        return found

    def learn(self, text: Sequence[int], token: int) -> None:
        """A token came after a text."""
        for place, tag in _places(text[-LONGEST_CONTEXT:]):
            row = self._rows[place]
            row[:] = _with(row.tolist(), tag, token)


def _places(context: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Where the last token, the last two, and so on have their rows, and what tells these from
    others that share the place."""
    key = 0
    for token in reversed(context):
        key = ((key ^ (token + 1)) * _MIX) & _ALL
        yield key >> (64 - _BITS), (key >> 16 & 0xFFFFFFFF) | 1


def _kind(length: int, count: int, other: int) -> int:
    """Guesses of a kind are trusted alike: by how long the context is, how often it had this
    continuation, and how well that did against another one."""
    agreement = (count >= 3 * other) + (not other)
    return (length * _COUNTS + min(count, _COUNTS) - 1) * _AGREEMENTS + agreement


def _with(row: list[int], tag: int, token: int) -> list[int]:
    """A row that has seen one more continuation. A third one weakens the second until it takes its
    place (Misra and Gries, 1982)."""
    known, first, count, second, other = row
    if known != tag:  # of another context, which is only given up once it was seldom seen lately
        return [known, first, count // 2, 0, 0] if count > 1 else [tag, token, 1, 0, 0]
    if token == first:
        count += 1
    elif token == second or not other:
        second, other = token, other + 1
        if other > count:
            first, count, second, other = second, other, first, count
    else:
        other -= 1
    if count > _MOST:
        count, other = (count + 1) // 2, (other + 1) // 2
    return [tag, first, count, second, other]
