"""Beam search finds what looking at every reply finds, and beams do not disturb each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from amulet_local.evaluation.beam import Hypothesis, beam_search
from amulet_local.evaluation.subject import Subject
from amulet_local.realignment import log_softmax

PROMPT = list(b"Take the coast path")


def never(_: int) -> bool:
    return False


@pytest.fixture(scope="module")
def after(subject: Subject) -> Callable[[tuple[int, ...]], NDArray[np.floating]]:
    """Log-probabilities of what comes after some tokens, each time evaluated anew."""

    def evaluate(tokens: tuple[int, ...]) -> NDArray[np.floating]:
        with subject.streams(1, 64) as alone:
            return log_softmax(alone.prefill({0: [*PROMPT, *tokens]})[0])

    return evaluate


def search(
    subject: Subject, width: int, tokens: int, ends: Callable[[int], bool] = never
) -> Hypothesis:
    with subject.streams(width, 64) as lockstep:
        return beam_search(lockstep, PROMPT, ends, width, tokens)


def test_it_finds_the_best_of_all_replies_of_two_tokens(
    subject: Subject, after: Callable[[tuple[int, ...]], NDArray[np.floating]]
) -> None:
    first = after(())
    with subject.streams(1, 64) as alone:
        alone.prefill({0: PROMPT})
        best: tuple[float, tuple[int, ...]] = (-np.inf, ())
        for token in range(subject.vocabulary.size):
            second = log_softmax(alone.advance([token])[0][0])
            alone.rewind(1)
            follower = int(second.argmax())
            best = max(best, (float(first[token] + second[follower]), (token, follower)))
    found = search(subject, 32, 2)
    assert found.tokens == best[1]
    assert found.log_probability == pytest.approx(best[0], abs=0.02)


def test_one_beam_is_greedy(
    subject: Subject, after: Callable[[tuple[int, ...]], NDArray[np.floating]]
) -> None:
    tokens: tuple[int, ...] = ()
    for _ in range(8):
        tokens = (*tokens, int(after(tokens).argmax()))
    assert search(subject, 1, 8).tokens == tokens


def test_copied_beams_are_as_good_as_beams_evaluated_anew(
    subject: Subject, after: Callable[[tuple[int, ...]], NDArray[np.floating]]
) -> None:
    beams: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for _ in range(6):
        beams = sorted(
            (
                (score + float(chance), (*tokens, token))
                for score, tokens in beams
                for token, chance in enumerate(after(tokens))
            ),
            reverse=True,
        )[:4]
    found = search(subject, 4, 6)
    assert found.tokens == beams[0][1]
    assert found.score == pytest.approx(beams[0][0] / 6, abs=0.02)


def test_wider_beams_find_no_worse(subject: Subject) -> None:
    scores = [search(subject, width, 10).score for width in (1, 4, 16)]
    assert scores == sorted(scores)


def test_a_reply_that_ends_counts_its_end(
    subject: Subject, after: Callable[[tuple[int, ...]], NDArray[np.floating]]
) -> None:
    end = int(after(()).argmax())
    assert end not in search(subject, 4, 10, ends=lambda token: token == end).tokens
    found = search(subject, 4, 1, ends=lambda token: token == end)
    assert (found.tokens, found.ended) == ((), True)
    assert found.log_probability == pytest.approx(float(after(())[end]), abs=0.02)


def test_scores_are_per_token_with_the_end_among_them() -> None:
    assert Hypothesis((1, 2, 3), -8.0, ended=True).score == -2
    assert Hypothesis((1, 2), -8.0, ended=False).score == -4
    assert Hypothesis((), 0.0, ended=False).score == 0
