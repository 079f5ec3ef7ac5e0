"""What blind votes teach about strengths: where each fader stands best for whoever votes.

Votes between mixes go in, as vectors of strengths; the strengths that they speak for come out, with
how uncertain they are, and the pair of mixes whose vote would teach most. NumPy only.

The model is Bradley and Terry's (1952), in Luce's form for more than two: a mix x is chosen with a
probability that goes with exp u(x). How well it is liked falls with the square of its distance from
the strengths t that the voter would have,

    u(x) = -c/2 |x - t|^2 = c t.x - c/2 |x|^2 + const,

which is linear in t, so that the likelihood has one maximum. The prior is normal around the
strengths that the presets have. Uncertainty is Laplace's: the curvature at the maximum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DECISIVE = 1.0  # c: between mixes one and two strengths off, who is nearer wins 82 of 100 votes
SPREAD = 1.5  # of the prior, in strengths, each way
CERTAIN = 1.96  # deviations: an interval that holds 95 of 100

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Vote:
    """Mixes that stood on a ballot, float64 (mixes, faders), and the number of the chosen one."""

    mixes: Vector
    chosen: int


@dataclass(frozen=True)
class Learned:
    """strengths: (faders,); covariance: (faders, faders)."""

    strengths: Vector
    covariance: Vector

    def interval(self, fader: int) -> tuple[float, float]:
        """Where a fader's best strength is, in 95 of 100 cases."""
        deviation = CERTAIN * math.sqrt(float(self.covariance[fader, fader]))
        best = float(self.strengths[fader])
        return best - deviation, best + deviation

    def excludes(self, fader: int, strength: float) -> bool:
        """Whether the votes speak against a strength, beyond doubt."""
        low, high = self.interval(fader)
        return not low <= strength <= high


def learn(votes: Sequence[Vote], prior: Vector) -> Learned:
    """What votes come to. prior: the strengths that are usual, float64 (faders,)."""
    together = [
        (np.stack([it.mixes for it in same]), np.stack([it.mixes[it.chosen] for it in same]))
        for size in {len(vote.mixes) for vote in votes}
        for same in [[vote for vote in votes if len(vote.mixes) == size]]
    ]
    strengths = prior.astype(np.float64)
    precision = np.eye(len(prior)) / SPREAD**2
    for _ in range(100):  # Newton's steps, of which some five are enough
        gradient = -precision @ (strengths - prior)
        curvature = precision.copy()
        for mixes, chosen in together:
            p = chances(mixes, strengths)
            mean = (p[..., None] * mixes).sum(axis=1)
            gradient += DECISIVE * (chosen - mean).sum(axis=0)
            off = mixes - mean[:, None]
            curvature += DECISIVE**2 * np.einsum("vm,vmi,vmj->ij", p, off, off)
        step = np.linalg.solve(curvature, gradient)
        step /= max(1.0, float(np.abs(step).max(initial=0.0)))  # where it is flat, Newton leaps
        strengths = strengths + step
        if float(np.abs(step).max(initial=0.0)) < 1e-9:
            break
    covariance: Vector = np.linalg.inv(curvature).astype(np.float64)
    return Learned(strengths, covariance)


def chances(mixes: Vector, strengths: Vector) -> Vector:
    """How likely each mix, of (…, mixes, faders), is chosen by who would have these strengths:
    (…, mixes)."""
    liked = -DECISIVE / 2 * ((mixes - strengths) ** 2).sum(axis=-1)
    weights = np.exp(liked - liked.max(axis=-1, keepdims=True))
    chosen: Vector = weights / weights.sum(axis=-1, keepdims=True)
    return chosen


def most_telling(learned: Learned, mixes: Vector) -> tuple[int, int]:
    """The numbers of the two mixes, of (mixes, faders), whose vote would teach most: the largest
    variance of what decides between them, weighed by how open the vote is. At least two mixes."""

    apart = DECISIVE * (mixes[:, None] - mixes[None])
    liked = -DECISIVE / 2 * ((mixes - learned.strengths) ** 2).sum(axis=1)
    p = 1 / (1 + np.exp(liked[None] - liked[:, None]))
    told = p * (1 - p) * np.einsum("ijk,kl,ijl->ij", apart, learned.covariance, apart)
    first, second = np.unravel_index(int(np.triu(told, 1).argmax()), told.shape)
    return int(first), int(second)


def around(strengths: Vector, step: float = 1.5) -> Vector:
    """Mixes to choose a pair from: these strengths, and each fader up and down by a step."""
    steps = step * np.eye(len(strengths))
    return np.vstack([strengths, strengths + steps, strengths - steps])
