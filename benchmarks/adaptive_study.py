"""Strengths that adapt to the token, beside one that does not: what `amulet eval` says of each.

    python -m benchmarks.adaptive_study RULE eval --instructions FILE --ability --out FOLDER ...

Everything behind RULE is an ordinary `amulet` command; the strength of a variant becomes the most
that the rule may use at a token. The rules that lose must not be in the product, so they stand here
and take the place of the product's own for this one process.

    jsd    1 + (s - 1) sqrt(JSD(base, pref) / ln 2)         after AdaCAD (arXiv 2409.07394)
    cap    the largest strength up to s with KL(realigned || pref) at most CAP nats
    agree  1 where base and pref have the same best token, else s  after NWCAD (arXiv 2604.16686)
    peak   1 + (s - 1) (1 - max p_pref): less where pref is sure
    gate   as agree, and 1 where pref is the surer by GAP nats of entropy: both gates of NWCAD
    end    s, but an end of the turn leads the best other token by no more than it does for pref
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from amulet_local.cli import main
from amulet_local.generation import decoding
from amulet_local.realignment import Combination, Row, Rows, Workspace, combined, log_softmax
from amulet_local.strengths import PROMPT

Rule = Callable[[Row, Row, float], float]  # base, pref, strength -> strength at this token

CAP = 1.0
GAP = 0.5
_HALVINGS = 5


def jsd(base: Row, pref: Row, strength: float) -> float:
    log_base, log_pref = (log_softmax(row.astype(np.float64)) for row in (base, pref))
    log_middle = np.logaddexp(log_base, log_pref) - np.log(2)
    divergence = 0.5 * sum(
        float((np.exp(each) * (each - log_middle)).sum()) for each in (log_base, log_pref)
    )
    return PROMPT + (strength - PROMPT) * float(np.sqrt(max(0.0, divergence) / np.log(2)))


def cap(base: Row, pref: Row, strength: float) -> float:
    log_pref = log_softmax(pref.astype(np.float64))
    difference = pref.astype(np.float64) - base

    def shift(tried: float) -> float:
        realigned = log_softmax(pref + (tried - PROMPT) * difference)
        return float((np.exp(realigned) * (realigned - log_pref)).sum())

    if shift(strength) <= CAP:
        return strength
    low, high = PROMPT, strength
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if shift(middle) <= CAP else (low, middle)
    return low


def agree(base: Row, pref: Row, strength: float) -> float:
    return PROMPT if base.argmax() == pref.argmax() else strength


def peak(base: Row, pref: Row, strength: float) -> float:
    return PROMPT + (strength - PROMPT) * (1 - float(np.exp(log_softmax(pref).max())))


def gate(base: Row, pref: Row, strength: float) -> float:
    log_base, log_pref = (log_softmax(row.astype(np.float64)) for row in (base, pref))
    surer = float((np.exp(log_pref) * log_pref).sum() - (np.exp(log_base) * log_base).sum())
    return PROMPT if surer > GAP else agree(base, pref, strength)


RULES: dict[str, Rule] = {"jsd": jsd, "cap": cap, "agree": agree, "peak": peak, "gate": gate}


# The tokens that end a turn, by the size of the vocabulary: SmolLM2, Qwen2.5.
ENDS = {49_152: (0, 2), 151_936: (151_643, 151_645)}


def ending(logits: Rows, combination: Combination, work: Workspace) -> Row:
    """The product's `combined`, but an end of the turn leads the best other token by no more than
    it does for pref."""
    realigned = combined(logits, combination, work)
    if len(combination.strengths) == 1 and combination.strengths[0] > PROMPT:
        pref, ends = logits[1], list(ENDS[len(realigned)])
        kept = realigned[ends]
        realigned[ends] = -np.inf
        others = np.array(pref)
        others[ends] = -np.inf
        best = realigned.max()  # -inf where the guard leaves ends alone
        realigned[ends] = kept
        if np.isfinite(best):
            realigned[ends] = np.minimum(kept, best + pref[ends] - others.max())
    return realigned


def adapting(rule: Rule) -> Callable[[Rows, Combination, Workspace], Row]:
    """The product's `combined` with a strength of its own at every token."""

    def adapted(logits: Rows, combination: Combination, work: Workspace) -> Row:
        if len(combination.strengths) == 1 and combination.strengths[0] > PROMPT:
            strength = rule(logits[0], logits[1], combination.strengths[0])
            combination = Combination((strength,), combination.guard, combination.measured)
        return combined(logits, combination, work)

    return adapted


if __name__ == "__main__":
    rule = ending if sys.argv[1] == "end" else adapting(RULES[sys.argv[1]])
    setattr(decoding, "combined", rule)  # noqa: B010, mypy would not have it
    sys.exit(main(sys.argv[2:]))
