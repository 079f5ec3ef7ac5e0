"""Guesses at the next tokens, which the streams then verify together in one batch.

A guess never changes a reply: every token is still realigned, guarded and sampled; a guess that
turns out right has only been evaluated earlier, in a batch that reads the weights once. Two
drafters: repetitions in the conversation so far (n-grams), and a small model with the same
vocabulary that is realigned in the same way. How many tokens are guessed follows from how many
guesses were right and from what a larger batch costs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Protocol

import msgspec

from amulet_local.errors import UsageError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.realignment import Combination, Row, Workspace, combined
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.llama.vocabulary import Vocabulary
from amulet_local.runtime.load_defaults import layers_asked
from amulet_local.runtime.lockstep import Lockstep

LONGEST_DRAFT = 15
USUAL_STEP_COST = 0.4  # of a CPU that was not autotuned; on faster ones, too few are guessed


class Drafter(Protocol):
    """Follows one reply. What it proposes is verified at once; then it hears what was chosen."""

    def propose(self, room: int) -> list[int]:
        """At most `room` tokens that may come next; none where guessing would not pay."""

    def observe(self, token: int) -> None:
        """A token was chosen, guessed or not."""


Cost = Callable[[int], float]


def linear_cost(slope: float) -> Cost:
    """What evaluating a block of tokens costs, in steps of one token: each further one `slope`."""
    return lambda block: 1 + slope * (block - 1)


def best_length(acceptance: float, cost: Cost, drafting: float, limit: int) -> int:
    """How many tokens to draft for the most tokens per time.

    acceptance: the chance that one more guess is right. cost(block): of verifying a block.
    drafting: of one guess, in the same unit. A draft of k gives 1 + a + … + a^k tokens.
    """
    best, best_rate = 0, 1 / cost(1)
    tokens, term = 1.0, 1.0
    for length in range(1, limit + 1):
        term *= acceptance
        tokens += term
        rate = tokens / (cost(length + 1) + drafting * length)
        if rate > best_rate:
            best, best_rate = length, rate
    return best


class _Record:
    """The share of guesses that were right, starting from a belief worth a few guesses."""

    def __init__(self, belief: float) -> None:
        self._right, self._guesses = 4 * belief, 4.0

    @property
    def acceptance(self) -> float:
        return self._right / self._guesses

    def add(self, right: bool) -> None:
        """Older guesses count less and less."""
        self._right = 0.95 * self._right + right
        self._guesses = 0.95 * self._guesses + 1


class _Guesses:
    """Keeps the score of the guesses that are being verified."""

    def __init__(self) -> None:
        self._open: list[int] = []
        self._record = _Record(0.0)

    def begin(self, tokens: list[int], record: _Record) -> list[int]:
        self._open, self._record = tokens[::-1], record
        return tokens

    def observe(self, token: int) -> None:
        """Guesses behind a wrong one say nothing."""
        if self._open:
            right = self._open.pop() == token
            self._record.add(right)
            if not right:
                self._open.clear()


class NgramDrafter:
    """Proposes what followed the last time the same few tokens occurred.

    tokens: the conversation so far. Where a copied passage departs from its source by a token or
    two, the index in the source is kept, so that copying resumes at the first token that fits
    again. The longer the match, the more its continuation is believed; each length keeps its own
    record.
    """

    _GRAM = 3
    _LONGEST_MATCH = 24
    _DEPARTURE = 4  # tokens without a fit after which a source is given up
    _AHEAD = 6  # tokens of the source that a copy may leave out

    def __init__(self, tokens: Sequence[int], cost: Cost) -> None:
        self._cost = cost
        self._guesses = _Guesses()
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        beliefs = (1 - 1.2 / max(length, 1.8) for length in range(1, self._LONGEST_MATCH + 1))
        self._records = [_Record(0.0), *map(_Record, beliefs)]
        self._source = 0  # where the passage that is being copied goes on; 0: none is
        self._departed = 0
        for token in tokens:
            self._append(token)
        self._follow()

    def observe(self, token: int) -> None:
        """See Drafter."""
        self._guesses.observe(token)
        self._append(token)
        self._follow()

    def propose(self, room: int) -> list[int]:
        """See Drafter."""
        if not self._source:
            return []
        record = self._records[self._match_length(self._source)]
        length = best_length(record.acceptance, self._cost, 0.0, min(room, LONGEST_DRAFT))
        return self._guesses.begin(self._tokens[self._source : self._source + length], record)

    def _append(self, token: int) -> None:
        """Index a gram only once it has a continuation, so that none matches itself."""
        if len(self._tokens) >= self._GRAM:
            self._after[tuple(self._tokens[-self._GRAM :])] = len(self._tokens)
        self._tokens.append(token)

    def _follow(self) -> None:
        """Find the index from which the next tokens may be copied."""
        if found := self._after.get(tuple(self._tokens[-self._GRAM :])):
            self._source, self._departed = found, 0
        elif self._source:
            start = self._source
            nearby = self._tokens[start : start + self._AHEAD]
            if (newest := self._tokens[-1]) in nearby:
                self._source, self._departed = start + nearby.index(newest) + 1, 0
            elif self._departed < self._DEPARTURE:
                self._departed += 1
            else:
                self._source = 0

    def _match_length(self, start: int) -> int:
        length = 0
        while (
            length < min(self._LONGEST_MATCH, start)
            and self._tokens[start - length - 1] == self._tokens[-length - 1]
        ):
            length += 1
        return length


class DraftModel:
    """A small model loaded beside the large one, with streams of its own.

    Raises UsageError unless its vocabulary is the large model's, and what loading and evaluating
    raise. close: frees its cache and weights.
    """

    def __init__(
        self, path: str, options: LoadOptions, vocabulary: Vocabulary, target: Lockstep
    ) -> None:
        with ExitStack() as owned:
            model = Model(path, gpu_layers=layers_asked(options), devices=options.devices)
            owned.callback(model.close)
            if not model.vocabulary.equals(vocabulary):
                raise UsageError(
                    f"{path} cannot draft for this model because its vocabulary differs; choose "
                    "a smaller model of the same family."
                )
            own = msgspec.structs.replace(options, context=target.length, streams="one-context")
            self.lockstep = owned.enter_context(closing(Lockstep(model, own)))
            self._work = Workspace(vocabulary.size)
            self._relative_cost = _step_seconds(self.lockstep) / _step_seconds(target)
            self.close = owned.pop_all().close

    def drafter(
        self,
        prompts: Mapping[int, Sequence[int]],
        written: Sequence[int],
        combine: Callable[[], Combination],
        cost: Cost,
    ) -> ModelDrafter:
        """A drafter for one reply: greedy, combined as the reply is."""
        self.lockstep.open(max(prompts) + 1)

        def choose(logits: Sequence[Row]) -> int:
            return int(combined(logits, combine(), self._work).argmax())

        return ModelDrafter(self.lockstep, prompts, written, choose, cost, self._relative_cost)


def _step_seconds(lockstep: Lockstep) -> float:
    """The median time of a few steps of two short streams."""
    lockstep.prefill({0: [0, 1], 1: [0, 2]})
    times = []
    for _ in range(5):
        began = time.perf_counter()
        lockstep.advance([1])
        times.append(time.perf_counter() - began)
    return statistics.median(times)


class ModelDrafter:
    """A small model writes ahead, its own streams realigned as the large model's are.

    lockstep: the small model's streams. prompts, written: those of the reply. choose: a token from
    logits (streams, vocabulary). relative_cost: of one of its steps, in the large model's steps.
    """

    def __init__(
        self,
        lockstep: Lockstep,
        prompts: Mapping[int, Sequence[int]],
        written: Sequence[int],
        choose: Callable[[Sequence[Row]], int],
        cost: Cost,
        relative_cost: float,
    ) -> None:
        self._lockstep = lockstep
        self._choose = choose
        self._cost, self._relative_cost = cost, relative_cost
        self._texts = {stream: [*prompt, *written] for stream, prompt in prompts.items()}
        self._guesses = _Guesses()
        self._record = _Record(0.75)

    def observe(self, token: int) -> None:
        """See Drafter."""
        self._guesses.observe(token)
        for text in self._texts.values():
            text.append(token)

    def propose(self, room: int) -> list[int]:
        """See Drafter."""
        length = best_length(
            self._record.acceptance, self._cost, self._relative_cost, min(room, LONGEST_DRAFT)
        )
        if length == 0:
            return []
        logits: Sequence[Row] = self._lockstep.prefill(self._texts)
        draft = [self._choose(logits)]
        while len(draft) < length:
            (logits,) = self._lockstep.advance(draft[-1:])
            draft.append(self._choose(logits))
        return self._guesses.begin(draft, self._record)
