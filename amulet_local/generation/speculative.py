"""Guesses at the next tokens, which the streams then verify together in one batch.

A guess never changes a reply: every token is still realigned, guarded and sampled; a guess that
turns out right has only been evaluated earlier, in a batch that reads the weights once. Three
sources: passages of the conversation that are being copied, what the model said after the same
words before, and, where there is one, a small model with the same vocabulary. Each keeps a record
of how often it was right, and the one with the best record makes the next guess. How many tokens
are guessed follows from those records and from what larger batches cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Protocol

from amulet_local.generation.continuations import LONGEST_CONTEXT, Continuations, Prediction, Record

LONGEST_DRAFT = 15
# Where nothing was measured: of the formats that were, the one in which larger blocks cost most.
USUAL_STEP_COST = 0.85
WORTH_IT = 1.05  # times as fast as without, promised; records and costs are estimates

Cost = Callable[[int], float]


class Drafter(Protocol):
    """Follows one reply. What it proposes is verified at once; then it hears what was chosen."""

    def propose(self, room: int) -> list[int]:
        """At most `room` tokens that may come next; none where guessing would not pay."""

    def observe(self, token: int) -> None:
        """A token was chosen, guessed or not."""


class WritesAhead(Protocol):
    """A source that writes ahead by itself. relative_cost: of one guess, in steps of the reply."""

    relative_cost: float

    @property
    def acceptance(self) -> float:
        """The chance that its next guess is right."""

    def write(self, length: int) -> list[int]:
        """So many guesses."""

    def observe(self, token: int) -> None:
        """A token was chosen."""


def linear_cost(slope: float) -> Cost:
    """What evaluating a block of tokens costs, in steps of one token: each further one `slope`."""
    return lambda block: 1 + slope * (block - 1)


def best_length(
    acceptances: Iterable[float], cost: Cost, drafting: float, limit: int
) -> tuple[int, float]:
    """How many tokens to draft for the most tokens per time, and how many these are.

    acceptances: the chance of each guess to be right if those before it are. cost(block): of
    verifying a block, never less than of a shorter one. drafting: of one guess, in the same unit.
    Guesses that are right with a, b, c give 1 + a + ab + abc tokens.
    """
    best, best_rate = 0, WORTH_IT / cost(1)
    tokens = chance = 1.0
    for length, acceptance in zip(range(1, limit + 1), acceptances, strict=False):
        chance *= acceptance
        tokens += chance
        spent = cost(length + 1) + drafting * length
        if tokens / spent > best_rate:
            best, best_rate = length, tokens / spent
        elif (tokens + chance * (limit - length)) / spent <= best_rate:
            break  # even if all others were right
    return best, best_rate


class Guesser:
    """The drafter of one reply.

    tokens: the conversation so far. habits: what the model said before; it learns the reply too.
    Without it, only what is copied is guessed. ahead: a small model, asked where it promises more.
    """

    def __init__(
        self,
        tokens: Sequence[int],
        cost: Cost,
        habits: Continuations | None = None,
        ahead: WritesAhead | None = None,
    ) -> None:
        self._cost, self._habits, self._ahead = cost, habits, ahead
        self._copying = Copying(tokens)

    def observe(self, token: int) -> None:
        """See Drafter. What a source would have said counts for its record, asked or not."""
        for guess, record in self._predictions([]):
            record.add(guess == token)
        if self._habits:
            self._habits.learn(self._copying.tokens, token)
        if self._ahead:
            self._ahead.observe(token)
        self._copying.append(token)

    def propose(self, room: int) -> list[int]:
        """See Drafter."""
        room = min(room, LONGEST_DRAFT)
        path: list[int] = []
        length, rate = best_length(self._acceptances(path), self._cost, 0.0, room)
        if self._ahead:
            chances, drafting = repeat(self._ahead.acceptance), self._ahead.relative_cost
            longer, promised = best_length(chances, self._cost, drafting, room)
            if promised > rate:
                return self._ahead.write(longer)
        return path[:length]

    def _acceptances(self, path: list[int]) -> Iterator[float]:
        """How likely the best guess behind `path` is right; then it stands there itself."""
        while best := max(self._predictions(path), key=_acceptance, default=None):
            path.append(best[0])
            yield best[1].acceptance

    def _predictions(self, path: list[int]) -> list[Prediction]:
        """What each source would guess behind `path`, which is guessed already."""
        found = [self._copying.predict(path)]
        if self._habits:
            text = [*self._copying.tokens[-LONGEST_CONTEXT:], *path]
            found.append(self._habits.predict(text))
        return [each for each in found if each]


def _acceptance(prediction: Prediction) -> float:
    return prediction[1].acceptance


class Copying:
    """Predicts what followed the last time the same few tokens occurred.

    tokens: the text so far, which `append` adds to. Where a copied passage departs from its source
    by a token or two, the index in the source is kept, so that copying resumes at the first token
    that fits again. The longer the match, the more its continuation is believed; each length keeps
    its own record.
    """

    _GRAM = 3
    _LONGEST_MATCH = 24
    _DEPARTURE = 4  # tokens without a fit after which a source is given up
    _AHEAD = 6  # tokens of the source that a copy may leave out

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        beliefs = (1 - 1.2 / max(length, 1.8) for length in range(1, self._LONGEST_MATCH + 1))
        self._records = [Record(0.0), *map(Record, beliefs)]
        self._source = 0  # where the passage that is being copied goes on; 0: none is
        self._departed = self._matched = 0
        for token in tokens:
            self._index(token)
        self._follow()

    def append(self, token: int) -> None:
        """The text goes on."""
        self._index(token)
        self._follow()

    def predict(self, path: Sequence[int]) -> Prediction | None:
        """What comes behind the text and `path`, if all of that is copied."""
        at = self._source + len(path)
        if not self._source or at >= len(self.tokens) or self.tokens[self._source : at] != path:
            return None
        return self.tokens[at], self._records[min(self._matched + len(path), self._LONGEST_MATCH)]

    def _index(self, token: int) -> None:
        """Index a gram only once it has a continuation, so that none matches itself."""
        if len(self.tokens) >= self._GRAM:
            self._after[tuple(self.tokens[-self._GRAM :])] = len(self.tokens)
        self.tokens.append(token)

    def _follow(self) -> None:
        """Find the index from which the next tokens may be copied."""
        if found := self._after.get(tuple(self.tokens[-self._GRAM :])):
            self._source, self._departed = found, 0
        elif self._source:
            start = self._source
            nearby = self.tokens[start : start + self._AHEAD]
            if (newest := self.tokens[-1]) in nearby:
                self._source, self._departed = start + nearby.index(newest) + 1, 0
            elif self._departed < self._DEPARTURE:
                self._departed += 1
            else:
                self._source = 0
        self._matched = self._match_length(self._source) if self._source else 0

    def _match_length(self, start: int) -> int:
        length = 0
        while (
            length < min(self._LONGEST_MATCH, start)
            and self.tokens[start - length - 1] == self.tokens[-length - 1]
        ):
            length += 1
        return length
