"""Beam search: the reply that a prompt finds likeliest per token, as far as a few beams can see.

A prompt goes in, a hypothesis comes out. Beams are sequences of one context; one that splits is
copied there, which evaluates nothing. Nothing here knows of preferences or texts.

A hypothesis is scored by its log-probability divided by its number of tokens, the one that ends
the turn included. The search is over when as many hypotheses have ended as there are beams and
none under way scores higher than the worst of them: the stopping rule of the transformers library
(`early_stopping=False`), with which the paper's tables were made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from amulet_local.realignment import Row, log_softmax
from amulet_local.runtime.llama.errors import DecodeError
from amulet_local.runtime.lockstep import Lockstep


@dataclass(frozen=True)
class Hypothesis:
    """A reply that may be given. tokens: without the one that ended it. log_probability: of all of
    them, and of that one where `ended`, in nats."""

    tokens: tuple[int, ...]
    log_probability: float
    ended: bool

    @property
    def score(self) -> float:
        """Log-probability per token."""
        return self.log_probability / max(1, len(self.tokens) + self.ended)


def beam_search(
    lockstep: Lockstep,
    prompt: Sequence[int],
    ends: Callable[[int], bool],
    width: int,
    max_tokens: int,
) -> Hypothesis:
    """The best hypothesis of at most so many tokens.

    lockstep: of at least `width` streams in one context. ends: whether a token ends the turn.
    Raises AbortedError, DecodeError.
    """
    (first,) = lockstep.prefill({0: prompt})
    logits: Mapping[int, Row] = {0: first}
    beams = {0: Hypothesis((), 0.0, False)}
    ended: list[Hypothesis] = []
    for length in range(1, max_tokens + 1):
        # 1. The likeliest continuations of all beams: twice as many as beams, since some end.
        continued = _continuations(beams, logits, 2 * width)
        ended += [
            Hypothesis(beams[stream].tokens, log_probability, True)
            for log_probability, stream, token in continued[:width]
            if ends(token)
        ]
        ended = sorted(ended, key=lambda each: each.score, reverse=True)[:width]
        open_ended = [each for each in continued if not ends(each[2])][:width]
        # 2. Over, once nothing under way can be hoped to do better.
        best = open_ended[0][0] / length if open_ended else -np.inf
        if not open_ended or (len(ended) == width and best <= ended[-1].score):
            beams = {}
            break
        # 3. Each beam goes on as its first continuation, and is copied for each further one.
        beams = _branched(lockstep, beams, open_ended, width)
        if length < max_tokens:
            logits = lockstep.advance_each({k: beam.tokens[-1] for k, beam in beams.items()})
    return max([*ended, *beams.values()], key=lambda each: each.score)


def _continuations(
    beams: Mapping[int, Hypothesis], logits: Mapping[int, Row], count: int
) -> list[tuple[float, int, int]]:
    """The likeliest (log-probability, stream, token), best first."""
    found: list[tuple[float, int, int]] = []
    for stream, beam in beams.items():
        row = log_softmax(logits[stream])
        if np.isnan(row[0]):
            raise DecodeError("the model's output is not a number; try another quantisation.")
        best = np.argpartition(row, -count)[-count:] if count < row.size else np.arange(row.size)
        found += [
            (beam.log_probability + float(row[token]), stream, int(token))
            for token in best
            if np.isfinite(row[token])
        ]
    return sorted(found, key=lambda each: (-each[0], each[1:]))[:count]


def _branched(
    lockstep: Lockstep,
    beams: Mapping[int, Hypothesis],
    continued: Sequence[tuple[float, int, int]],
    width: int,
) -> dict[int, Hypothesis]:
    """The beams of the next step by stream, the streams made to hold what they continue."""
    going_on = {stream for _, stream, _ in continued}
    free = (stream for stream in range(width) if stream not in going_on)
    branched: dict[int, Hypothesis] = {}
    for log_probability, parent, token in continued:
        stream = parent
        if stream in branched:
            stream = next(free)
            lockstep.copy(parent, stream)
        tokens = (*beams[parent].tokens, token)
        branched[stream] = Hypothesis(tokens, log_probability, False)
    return branched
