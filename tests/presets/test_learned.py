"""Votes between mixes: a voter who knows what they want is found out, and doubt stays doubt."""

from __future__ import annotations

import numpy as np
import pytest

from amulet_local.presets.learned import (
    SPREAD,
    Vector,
    Vote,
    around,
    chances,
    learn,
    most_telling,
)

PRIOR = np.array([3.0, 2.0, 1.5, 2.5, 2.5, 1.5])


def ranks(values: Vector) -> Vector:
    return np.argsort(np.argsort(values)).astype(float)


def rank_correlation(one: Vector, other: Vector) -> float:
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


@pytest.mark.slow
def test_a_voter_is_found_out_within_forty_votes() -> None:
    """Twenty voters with strengths of their own, who now and then choose what is farther from
    them, as Bradley and Terry have it; each is asked what teaches most."""
    found = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        wanted = PRIOR + random.normal(0, SPREAD, len(PRIOR))
        votes: list[Vote] = []
        for _ in range(40):
            learned = learn(votes, PRIOR)
            mixes = around(learned.strengths)
            pair = mixes[list(most_telling(learned, mixes))]
            votes.append(Vote(pair, int(random.random() > chances(pair, wanted)[0])))
        found.append(rank_correlation(learn(votes, PRIOR).strengths, wanted))
    assert np.mean(found) >= 0.8


def test_without_votes_the_presets_speak_and_nothing_is_excluded() -> None:
    learned = learn([], PRIOR)
    assert learned.strengths == pytest.approx(PRIOR)
    assert learned.interval(0) == pytest.approx((3 - 1.96 * SPREAD, 3 + 1.96 * SPREAD))
    excluded = [learned.excludes(fader, PRIOR[fader]) for fader in range(len(PRIOR))]
    assert excluded == [False] * len(PRIOR)


def test_the_same_vote_again_and_again_excludes_a_strength_in_the_end() -> None:
    lower, higher = PRIOR - [2, 0, 0, 0, 0, 0], PRIOR
    vote = Vote(np.stack([lower, higher]), 0)
    excluded = [learn([vote] * count, PRIOR).excludes(0, PRIOR[0]) for count in (1, 40)]
    assert excluded == [False, True]
    assert not learn([vote] * 40, PRIOR).excludes(1, PRIOR[1])


def test_a_vote_among_more_than_two_counts_as_one_choice() -> None:
    mixes = np.array([[0.0], [1.0], [2.0]])
    learned = learn([Vote(mixes, 2)] * 10, np.array([1.0]))
    assert learned.strengths[0] > 1.5


def test_what_is_asked_is_open_and_about_what_is_uncertain() -> None:
    known = Vote(np.array([[0.0, 0.0], [2.0, 0.0]]), 0)
    learned = learn([known, Vote(known.mixes, 1)] * 20, np.array([1.0, 1.0]))
    mixes = around(learned.strengths)
    first, second = (mixes[number] for number in most_telling(learned, mixes))
    assert abs(first[0] - second[0]) < abs(first[1] - second[1])
