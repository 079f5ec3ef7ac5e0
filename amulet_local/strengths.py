"""Strengths: the one that the paper's update comes to, the marks on the dial, what a method makes
of the one that is set, and what those of several preferences come to together.

Source: Zhang et al., "Amulet: ReAlignment During Test Time for Personalized Preference Adaptation
of LLMs", ICLR 2025 (arXiv 2502.19148).

What they do to logits is in realignment.py. The standard library only: the screens and most
commands set and show strengths, and need not import NumPy for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


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
