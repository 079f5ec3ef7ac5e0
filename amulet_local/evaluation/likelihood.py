"""How likely a model finds a reply after prompts it may not have been written for.

    log p(reply | prompt) = sum over its tokens of log p(token | prompt, tokens before it)

in nats; where the reply ended by itself, its end counts as one more token, with the probability
of all tokens together that end a turn. The prompts stay evaluated for the next reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from amulet_local.evaluation.subject import Subject
from amulet_local.generation.teacher_forcing import teacher_forced
from amulet_local.realignment import Row, log_softmax
from amulet_local.runtime.lockstep import Lockstep


def log_probabilities(
    subject: Subject,
    lockstep: Lockstep,
    prompts: Sequence[Sequence[int]],
    tokens: Sequence[int],
    *,
    ended: bool,
) -> NDArray[np.float64]:
    """Of each token after each prompt, float64 (prompts, tokens), one column more where `ended`.

    lockstep: with at least as many streams as prompts, and room for the tokens behind them.
    """
    blocks = teacher_forced(lockstep, dict(enumerate(prompts)), tokens, and_after=ended)
    wanted = len(tokens) + ended
    columns: list[list[float]] = []
    for index, logits in zip(range(wanted), chain.from_iterable(blocks), strict=False):
        if index == len(tokens):
            columns.append([_of_end(row, subject.turn_ends) for row in logits])
        else:
            columns.append([_of_token(row, tokens[index]) for row in logits])
    return np.array(columns).reshape(wanted, len(prompts)).T


def _of_token(row: Row, token: int) -> float:
    best = float(row.max())
    return float(row[token]) - best - float(np.log(np.exp(row - best).sum(dtype=np.float64)))


def _of_end(row: Row, ends: NDArray[np.intp]) -> float:
    return float(np.logaddexp.reduce(log_softmax(row[:])[ends].astype(np.float64)))
