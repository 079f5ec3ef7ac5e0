"""Win rates and other summaries over questions, with bootstrap intervals. NumPy alone.

The bootstrap draws questions anew with replacement, a fixed number of times with a fixed seed, and
takes the middle 95% of what the statistic then comes to (Efron 1979; percentile intervals).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_DRAWS = 2000
_SEED = 1
_TIE = 1e-9


class Interval(msgspec.Struct, frozen=True):
    """A statistic, and where it lies with 95% confidence."""

    value: float
    low: float
    high: float


class Comparison(msgspec.Struct, frozen=True):
    """Over questions: how often one is better, equal, worse. rate: wins and half the ties."""

    wins: int
    ties: int
    losses: int
    rate: Interval


def bootstrap(statistic: Callable[[Values], Values], *columns: Sequence[float]) -> Interval:
    """An interval of a statistic of paired columns, one row a question.

    statistic: takes float64 (columns, draws, questions) and returns (draws,).
    """
    data = np.array(columns, np.float64)
    size = data.shape[1]
    picks = np.random.default_rng(_SEED).integers(size, size=(_DRAWS, size))
    drawn = statistic(data[:, picks])
    with np.errstate(invalid="ignore"):  # between infinite ratios there is nothing
        low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(statistic(data[:, None, :])[0]), float(low), float(high))


def mean(column: Sequence[float]) -> Interval:
    """The mean of a column."""
    return bootstrap(lambda drawn: drawn[0].mean(axis=-1), column)


def median(column: Sequence[float]) -> Interval:
    """The median of a column."""
    return bootstrap(lambda drawn: np.median(drawn[0], axis=-1), column)


def ratio_of_medians(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """median(ours) / median(theirs)."""
    return bootstrap(lambda drawn: _ratio(*np.median(drawn, axis=-1)), ours, theirs)


def ratio_of_means(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """mean(ours) / mean(theirs)."""
    return bootstrap(lambda drawn: _ratio(*drawn.mean(axis=-1)), ours, theirs)


def compare(ours: Sequence[float], theirs: Sequence[float], *, more: bool = True) -> Comparison:
    """Question by question; more: whether the larger number is the better one."""
    gaps = np.subtract(ours, theirs) * (1 if more else -1)
    gaps[np.abs(gaps) < _TIE] = 0
    return compared([(1 + sign) / 2 for sign in np.sign(gaps)])


def compared(outcomes: Sequence[float]) -> Comparison:
    """From 1 for a win, 0 for a loss and 0.5 for a tie, one a question."""
    wins, losses = (sum(1 for each in outcomes if each == end) for end in (1.0, 0.0))
    return Comparison(wins, len(outcomes) - wins - losses, losses, mean(outcomes))


def mcnemar(gained: int, lost: int) -> float:
    """How likely a difference at least this large between pairs is by chance, either way: exact
    (McNemar 1947, with the binomial distribution)."""
    changed = gained + lost
    tail = sum(math.comb(changed, count) for count in range(min(gained, lost) + 1))
    return float(min(1.0, 2 * tail / 2**changed))


def _ratio(ours: Values, theirs: Values) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Values = np.divide(ours, theirs)
    ratio[(ours == 0) & (theirs == 0)] = 1.0
    return ratio
