"""How likely a model finds a reply after prompts it may not have been written for.

    log p(reply | prompt) = sum over its tokens of log p(token | prompt, tokens before it)

in nats; where the reply ended by itself, its end counts as one more token, with the probability
of all tokens together that end a turn. The reply is evaluated as a prompt is, in blocks, after
all prompts at once; its prompts stay evaluated for the next one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amulet_local.evaluation.subject import Subject
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
    columns: list[list[float]] = []
    rows: Sequence[Sequence[Row]] = [lockstep.prefill(dict(enumerate(prompts)))]
    wanted = len(tokens) + ended
    while len(columns) < wanted:
        for logits in rows:
            place = len(columns)
            if place == len(tokens):
                columns.append([_of_end(row, subject.turn_ends) for row in logits])
            else:
                columns.append([_of_token(row, tokens[place]) for row in logits])
            if len(columns) == wanted:
                break
        read = len(columns)
        # The last token is read only where what comes after it counts.
        block = tokens[read - 1 : len(tokens) if ended else -1][: lockstep.longest_block]
        if len(columns) < wanted:
            rows = lockstep.advance(block)
    return np.array(columns).reshape(wanted, len(prompts)).T


def _of_token(row: Row, token: int) -> float:
    best = float(row.max())
    return float(row[token]) - best - float(np.log(np.exp(row - best).sum(dtype=np.float64)))


def _of_end(row: Row, ends: NDArray[np.intp]) -> float:
    return float(np.logaddexp.reduce(log_softmax(row[:])[ends].astype(np.float64)))
