"""Win rates, ties, and intervals that hold what they should."""

from __future__ import annotations

import numpy as np
import pytest

from amulet_local.evaluation.statistics import (
    compare,
    compared,
    mean,
    median,
    ratio_of_means,
    ratio_of_medians,
)


def test_ties_count_half() -> None:
    found = compare([1.0, 2.0, 3.0, 4.0], [0.0, 2.0, 3.0, 9.0])
    assert (found.wins, found.ties, found.losses) == (1, 2, 1)
    assert found.rate.value == 0.5


def test_less_may_be_better() -> None:
    assert compare([1.0, 2.0], [3.0, 4.0], more=False).wins == 2


def test_certainty_has_no_interval() -> None:
    rate = compared([1.0] * 20).rate
    assert (rate.value, rate.low, rate.high) == (1, 1, 1)


def test_the_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    sample = np.random.default_rng(0).normal(5, 2, 400)
    found = mean(list(sample))
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * sample.std() / 20, rel=0.1)


def test_the_same_numbers_give_the_same_interval() -> None:
    column = [1.0, 5.0, 2.0, 8.0]
    assert mean(column) == mean(column)


def test_ratios_are_of_the_whole() -> None:
    assert median([3.0, 1.0, 2.0]).value == 2
    assert ratio_of_medians([1.0, 2.0, 9.0], [4.0, 4.0, 4.0]).value == 0.5
    assert ratio_of_means([2.0, 4.0], [1.0, 1.0]).value == 3
    assert ratio_of_means([0.0, 0.0], [0.0, 0.0]).value == 1
