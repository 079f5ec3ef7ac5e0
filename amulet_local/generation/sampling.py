"""Sampling settings -> how a token is drawn: llama.cpp's penalties, then its sampler chain.

The penalties come first, on the logits of each stream, and the rest last, on the realigned and
guarded ones. So every stream says what its prompt alone would say under the same penalties: they
cancel out in the difference that realignment amplifies, and the guard leaves open the ways out of
a loop that prompting has. Behind the guard, a penalty would find that in a loop, where the prompted
model is sure of itself, nothing is left but the token that goes on with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, closing

import numpy as np
from numpy.typing import NDArray

from amulet_local.generation.withholding import completing
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import LONGEST_CONTEXT
from amulet_local.realignment import Row, Withheld
from amulet_local.runtime.llama.grammar import Grammar
from amulet_local.runtime.llama.sampler import SamplerChain
from amulet_local.runtime.llama.vocabulary import Vocabulary

# Sorting a whole vocabulary for top-p costs more than evaluating a small model.
_ENOUGH = 1000
_LONGEST_WORD = 101  # tokens, each at least a letter


class Sampler:
    """What draws the tokens of one reply; close it after. The penalties look at the reply alone.

    With top_k off and top_p on, the nucleus is taken of the 1,000 likeliest tokens. close: frees
    the chains. bias: added to logits, by token. schema: JSON Schema whose grammar has a say, too.
    Raises UsageError for one that has none.
    """

    def __init__(
        self,
        settings: Sampling,
        seed: int,
        vocabulary: Vocabulary,
        bias: Sequence[tuple[int, float]] = (),
        schema: str = "",
    ) -> None:
        with ExitStack() as owned:
            self.grammar: Grammar | None = None
            if schema:
                self.grammar = owned.enter_context(closing(Grammar(vocabulary, schema)))
            known = dict(pair for pair in bias if pair[0] < vocabulary.size)
            self._biased = np.fromiter(known, np.int32, len(known))
            self._bias = np.fromiter(known.values(), np.float32, len(known))
            self._penalties: SamplerChain | None = None
            if _penalises(settings):
                self._penalties = owned.enter_context(closing(SamplerChain(vocabulary)))
                _add_penalties(self._penalties, settings)
            self._drawing = owned.enter_context(closing(SamplerChain(vocabulary)))
            _add_drawing(self._drawing, settings, seed)
            self._said: dict[int, None] = {}
            self._newest: deque[int] = deque(maxlen=_LONGEST_WORD)
            self._piece = vocabulary.piece
            self.close = owned.pop_all().close

    def penalised(self, logits: Sequence[Row]) -> Sequence[Row]:
        """Each stream's row, float32 (vocabulary,), with the tokens that were said before less
        likely; the row itself where the penalties change nothing."""
        if self._biased.size:
            logits = [_biased(row, self._biased, self._bias) for row in logits]
        if not self._penalties or not self._said:
            return logits
        # Only what was said can be penalised, so that not the whole vocabulary is looked at.
        said = np.fromiter(self._said, np.int32, len(self._said))
        return [_penalised(row, said, self._penalties) for row in logits]

    def without(self, logits: Sequence[Row], words: Sequence[Withheld]) -> Sequence[Row]:
        """Each stream's row without the tokens (-inf) that would complete one of these words; the
        row itself where none would."""
        said = b"".join(map(self._piece, self._newest)).decode("utf-8", "ignore")
        ends = sorted(completing(said, words))
        return [_impossible(row, ends) for row in logits] if ends else logits

    def sample(self, logits: Row) -> int:
        """Draw a token from realigned logits, float32 (vocabulary,), and take note of it.

        Raises DecodeError if no token is possible or the logits hold NaN or +inf.
        """
        token = self._drawing.sample(logits)
        if self.grammar:
            self.grammar.accept(token)
        self.accept(token)
        return token

    def accept(self, *tokens: int) -> None:
        """Take note of tokens that were said."""
        self._newest.extend(tokens)
        if self._penalties:
            for token in tokens:
                self._penalties.accept(token)
            self._said |= dict.fromkeys(tokens)


def _biased(row: Row, tokens: NDArray[np.int32], bias: NDArray[np.float32]) -> Row:
    changed = row.copy()
    changed[tokens] += bias
    return changed


def _penalised(row: Row, said: NDArray[np.int32], penalties: SamplerChain) -> Row:
    before = row[said]
    after = penalties.reweighed(said, before)
    if np.array_equal(before, after):
        return row
    changed = row.copy()
    changed[said] = after
    return changed


def _impossible(row: Row, tokens: Sequence[int]) -> Row:
    changed = row.copy()
    changed[tokens] = -np.inf
    return changed


def _counts(settings: Sampling) -> bool:
    return bool(
        settings.repeat_penalty != 1 or settings.frequency_penalty or settings.presence_penalty
    )


def _penalises(settings: Sampling) -> bool:
    return _counts(settings) or bool(settings.dry_multiplier)


def _add_penalties(chain: SamplerChain, settings: Sampling) -> None:
    looked_back = min(settings.penalty_last_n, LONGEST_CONTEXT)  # for each, memory is taken at once
    if _counts(settings):
        chain.penalties(
            looked_back,
            settings.repeat_penalty,
            settings.frequency_penalty,
            settings.presence_penalty,
        )
    if settings.dry_multiplier:
        chain.dry(
            settings.dry_multiplier,
            settings.dry_base,
            settings.dry_allowed_length,
            looked_back,
        )


def _add_drawing(chain: SamplerChain, settings: Sampling, seed: int) -> None:
    """In llama.cpp's own order."""
    if settings.temperature == 0:
        chain.greedy()
        return
    if settings.top_k or settings.top_p < 1:
        chain.top_k(settings.top_k or _ENOUGH)
    if settings.top_p < 1:
        chain.top_p(settings.top_p)
    if settings.min_p:
        chain.min_p(settings.min_p)
    chain.temperature(settings.temperature)
    chain.draw(seed)
