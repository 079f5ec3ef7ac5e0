"""The mathematics of Amulet: how two or more next-token distributions become the realigned one.

Rows of logits go in, one per stream: row 0 from the prompt without a preference (base), each other
row from a prompt with one (pref), whose strength is its own and has a sign. Realigned logits come
out; measures.py says what that did to a token. NumPy only.

Source: Zhang et al., "Amulet: ReAlignment During Test Time for Personalized Preference Adaptation
of LLMs", ICLR 2025 (arXiv 2502.19148).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float32]
Rows = Sequence[Row] | NDArray[np.float32]


@dataclass(frozen=True)
class Update:
    """The paper's update and its four parameters, with the paper's defaults.

    Raises ValueError where iterations < 1, eta <= 0, or lambda <= 0.
    """

    iterations: int = 60
    alpha: float = 2.0
    lambda_: float = 2.0
    eta: float = 10.0

    def __post_init__(self) -> None:
        values = (self.alpha, self.lambda_, self.eta)
        if self.iterations < 1 or self.lambda_ <= 0 or self.eta <= 0:
            raise ValueError("iterations must be at least 1, lambda and eta above 0")
        if not all(map(math.isfinite, values)):
            raise ValueError("alpha, lambda and eta must be finite numbers")

    @property
    def weight(self) -> float:
        """w_T in  log pi_T = log pref + w_T (log pref - log base) + const.

        Each iteration is linear in log space up to a constant that a softmax forgets, so the
        iterates stay on the line through base and pref, and only how far along it they are changes.
        """
        weight = utility = 0.0
        for t in range(1, self.iterations + 1):
            utility += 1 + weight
            step = 1 / (self.eta * t)
            weight = (self.alpha / t * utility + weight * step) / (self.lambda_ + step)
        return weight

    @property
    def strength(self) -> float:
        """s in  realigned = base + s (pref - base); s = 1 + w_T."""
        return 1 + self.weight

    @classmethod
    def of_strength(cls, strength: float) -> Update:
        """The update with the paper's other defaults whose alpha gives this strength.

        Raises ValueError below 1, where no alpha >= 0 leads.
        """
        if not 1 <= strength < math.inf:
            raise ValueError("the paper's update only gives strengths of 1 and above")
        low, high = 0.0, 1.0
        while cls(alpha=high).strength < strength:
            high *= 2
        for _ in range(64):
            middle = (low + high) / 2
            low, high = (middle, high) if cls(alpha=middle).strength < strength else (low, middle)
        return cls(alpha=high)


BASE = 0.0
PROMPT = 1.0
LINEAR = 3.0
AMULET = Update().strength
MARKS = {"base": BASE, "prompt": PROMPT, "LA": LINEAR, "Amulet": AMULET}


BASE_STREAM, PREF_STREAM = 0, 1  # the rows of logits


@dataclass(frozen=True)
class MethodRule:
    """What a method needs, and what it does with the strength and the guard that are set.

    strength: the one that it always has; None for the one that is set. streams: those that it
    looks at.
    """

    strength: float | None
    streams: tuple[int, ...]

    @property
    def guarded(self) -> bool:
        """Whether the guard counts, which is for what lies beyond base and pref."""
        return len(self.streams) > 1


METHODS = {
    "base": MethodRule(BASE, (BASE_STREAM,)),
    "pref": MethodRule(PROMPT, (PREF_STREAM,)),
    "la": MethodRule(LINEAR, (BASE_STREAM, PREF_STREAM)),
    "amulet": MethodRule(None, (BASE_STREAM, PREF_STREAM)),
}


def strength_and_guard(method: str, strength: float, guard: float) -> tuple[float, float]:
    """What a method (one of METHODS) makes of the strength and the guard that are set."""
    rule = METHODS[method]
    return strength if rule.strength is None else rule.strength, guard if rule.guarded else 0.0


def label(strength: float) -> str:
    """The name of a strength: a mark, or the mark that it is past."""
    passed = "away"
    for name, mark in MARKS.items():
        if abs(strength - mark) < 0.005:
            return name
        if strength > mark:
            passed = f"past {name}"
    return passed


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


def pool(strengths: Sequence[float]) -> tuple[float, ...]:
    """How much each preference counts where a mix is only prompted for: weights that sum to 1.

    Of those that lead towards something, by their strengths. Where none does, of all, by how far
    they lead away; alike where they do not lead anywhere. One preference always has the weight 1.
    """
    led = [max(0.0, strength) for strength in strengths]
    if not any(led):
        led = [abs(strength) for strength in strengths]
    if not any(led):
        led = [1.0 for _ in strengths]
    total = math.fsum(led)
    return tuple(weight / total for weight in led)


def overall(strengths: Sequence[float]) -> float:
    """How far a mix leads along the way to `prompted`: the strengths that `pool` weighs, summed.

    Of one preference that is its own strength; of none, 0.
    """
    led = [strength for strength in strengths if strength > 0]
    return math.fsum(led or strengths)


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
