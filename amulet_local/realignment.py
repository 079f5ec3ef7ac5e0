"""The mathematics of Amulet: how two or more next-token distributions become the realigned one.

Rows of logits go in, one per stream: row 0 from the prompt without a preference (base), each other
row from a prompt with one (pref), whose strength is its own and has a sign. Realigned logits come
out; measures.py says what that did to a token, strengths.py where strengths come from. NumPy only.

Source: Zhang et al., "Amulet: ReAlignment During Test Time for Personalized Preference Adaptation
of LLMs", ICLR 2025 (arXiv 2502.19148).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amulet_local.strengths import BASE, PROMPT, Update, pool

Row = NDArray[np.float32]
Rows = Sequence[Row] | NDArray[np.float32]


def recurrence(
    base: NDArray[np.float64], pref: NDArray[np.float64], update: Update
) -> NDArray[np.floating]:
    """The paper's update as written, one softmax an iteration: log pi_T, float64 (vocabulary,).

        Q_t          = alpha (log pi_t - log pi_base)
        log pi_{t+1} = ( lambda log pi_1 + 1/t sum_{i<=t} Q_i + log pi_t / (eta t) )
                       / ( lambda + 1 / (eta t) )                               (normalised)

    Kept as the yardstick that `realign` is tested and timed against.
    """
    log_base, log_first = log_softmax(base), log_softmax(pref)
    log_pi, utility = log_first, np.zeros_like(log_first)
    for t in range(1, update.iterations + 1):
        utility = utility + update.alpha * (log_pi - log_base)
        step = 1 / (update.eta * t)
        mixed = update.lambda_ * log_first + utility / t + log_pi * step
        log_pi = log_softmax(mixed / (update.lambda_ + step))
    return log_pi


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Log-probabilities; stable at any spread, with -inf for impossible tokens."""
    shifted: NDArray[np.floating] = logits - logits.max()
    shifted -= np.log(np.exp(shifted).sum())
    return shifted


class Workspace:
    """The arrays that realigning one token needs, made once per vocabulary."""

    def __init__(self, vocabulary: int) -> None:
        self.realigned = np.empty(vocabulary, np.float32)
        self.prompted = np.empty(vocabulary, np.float32)
        self.scratch = np.empty((3, vocabulary), np.float32)
        self.mask = np.empty(vocabulary, np.bool_)


def realign(logits: Rows, strengths: Sequence[float], work: Workspace | None = None) -> Row:
    """base + sum_k s_k (pref_k - base), into `work.realigned`, which is returned.

    logits: float32 (streams, vocabulary), raw: their normalisers cancel. strengths: one per
    preference stream, so streams - 1. A token that any contributing stream rules out (-inf) is
    ruled out. NaN in the logits stays NaN. work: where it is done; without it, in new arrays.
    """
    work = work or Workspace(len(logits[0]))
    return _mixed(logits, strengths, work.realigned, work)


def _mixed(logits: Rows, strengths: Sequence[float], out: Row, work: Workspace) -> Row:
    """base + sum_k s_k (pref_k - base), into `out`."""
    weights, term = (1 - sum(strengths), *strengths), work.scratch[0]
    with np.errstate(invalid="ignore"):
        np.multiply(logits[0], weights[0], out=out)
        for row, weight in zip(logits[1:], weights[1:], strict=True):
            np.multiply(row, weight, out=term)
            out += term
    if not np.isfinite(out.max()):
        _mix_with_impossible_tokens(logits, weights, out, work)
    return out


def _mix_with_impossible_tokens(
    logits: Rows, weights: Sequence[float], out: Row, work: Workspace
) -> None:
    """The same sum where -inf times a weight would turn into NaN or +inf."""
    term = work.scratch[0]
    out.fill(0)
    for row, weight in zip(logits, weights, strict=True):
        if weight:
            np.multiply(row, weight, out=term)
            np.copyto(term, -np.inf, where=np.isneginf(row, out=work.mask))
            out += term


def prompted(logits: Rows, strengths: Sequence[float], work: Workspace) -> Row:
    """The row that stands for prompting, float32 (vocabulary,): base + sum_k w_k (pref_k - base)
    with the weights of `pool`, which is the mix at strength 1. Of one preference it is its row
    itself; of several, their weighted geometric mean, in `work.prompted`, which is returned.
    """
    weights = pool(strengths)
    counted = [k for k, weight in enumerate(weights) if weight]
    if len(counted) < 2:
        return logits[1 + counted[0]] if counted else logits[0]
    out, term = work.prompted, work.scratch[0]
    out.fill(0)
    for k in counted:  # base has the weight 0; -inf in any of them stays -inf
        np.multiply(logits[1 + k], weights[k], out=term)
        out += term
    return out


def guard_reference(logits: Rows, strengths: Sequence[float], work: Workspace) -> Row:
    """The row that judges plausibility: the mix with all that it leads towards at strength 1, or
    base where it leads towards nothing.

        r = base + sum_k (pref_k - base)  over the positive s_k

    Of one preference that is its own row; of several it is in `work.prompted`. What one of them
    makes likely and the others leave as it was stays as likely as to that one. The mean of their
    log-probabilities halves it, and kept fewer instructions than both in one prompt; their product
    is that mean under a laxer floor (docs/mixing.md).
    """
    led = [1.0 if strength > 0 else 0.0 for strength in strengths]
    if sum(led) < 2:
        return logits[1 + led.index(1.0)] if any(led) else logits[0]
    return _mixed(logits, led, work.prompted, work)


def plausibility_floor(reference: Row, beta: float, work: Workspace) -> None:
    """Rule out (-inf) in `work.realigned` what `reference` finds less likely than beta x its best.

    The plausibility constraint of contrastive decoding (arXiv 2210.15097, eq. 2); beta in 0..1,
    0 keeps every token. The reference's own best token is always kept.
    """
    if beta > 0:
        np.less(reference, reference.max() + math.log(beta), out=work.mask)
        np.copyto(work.realigned, -np.inf, where=work.mask)


# A word, and the tokens that may not follow its first 0, 1, 2... letters; see
# generation/withholding.py.
Withheld = tuple[str, tuple[tuple[int, ...], ...]]


@dataclass(frozen=True)
class Combination:
    """How streams combine: one strength per preference stream, and the guard's floor beta.

    withheld: words that a preference asks to leave out, with the tokens that would complete them.
    measured: compare every token with what base and pref would have said; needs two streams.
    places, of: which faders of a mix the streams are, among so many; the others are muted. 0 for
    all that there are. listed: how many of the likeliest tokens to list; None for none.
    """

    strengths: tuple[float, ...]
    guard: float
    measured: bool = False
    withheld: tuple[Withheld, ...] = ()
    places: tuple[int, ...] = ()
    of: int = 0
    listed: int | None = None

    def spread(self, values: Sequence[float]) -> tuple[float, ...]:
        """A value of each stream, as one of each fader: 0 for what is muted."""
        if not self.of:
            return tuple(values)
        by_place = dict(zip(self.places, values, strict=True))
        return tuple(by_place.get(place, 0.0) for place in range(self.of))

    @property
    def withholds(self) -> bool:
        """Whether it leads beyond prompting, under a guard, with words to leave out."""
        return bool(self.withheld and self.guard) and max(self.strengths, default=BASE) > PROMPT


def combined(logits: Rows, combination: Combination, work: Workspace) -> Row:
    """The realigned and guarded row: `realign`, then `plausibility_floor`."""
    realigned = realign(logits, combination.strengths, work)
    reference = guard_reference(logits, combination.strengths, work)
    plausibility_floor(reference, combination.guard, work)
    return realigned
