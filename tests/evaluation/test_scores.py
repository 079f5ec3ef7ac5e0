"""Each score puts texts whose order is known in that order."""

from __future__ import annotations

import math

import pytest

from amulet_local.evaluation.records import Likelihoods
from amulet_local.evaluation.scores.face import FACES
from amulet_local.evaluation.scores.formality import contractions
from amulet_local.evaluation.scores.length import length, words
from amulet_local.evaluation.scores.on_question import on_question
from amulet_local.evaluation.scores.perplexity import perplexity
from amulet_local.evaluation.scores.preference_gain import preference_gain
from amulet_local.evaluation.scores.readability import readability
from amulet_local.evaluation.scores.repetition import distinct_3, longest_loop
from amulet_local.evaluation.scores.sentiment import sentiment
from amulet_local.evaluation.scores.variety import variety

PLAIN = "Put on a coat. It is cold and wet. The wind is strong, so stay in."
LEARNED = (
    "Notwithstanding considerable meteorological uncertainty, responsible individuals "
    "ordinarily prioritise appropriate precautionary equipment."
)
GLAD = "What a wonderful idea! You will love it, and every day brings a happy surprise."
SAD = "This is a terrible idea. You will hate it, and every day brings a horrible failure."


def test_words_are_what_a_reader_would_count() -> None:
    assert words("Don't panic: it's a well-known 2nd try…") == [
        "don't",
        "panic",
        "it's",
        "a",
        "well-known",
        "2nd",
        "try",
    ]
    assert length("") == 0


def test_glad_words_are_more_positive_than_neutral_than_sad_ones() -> None:
    assert sentiment(GLAD) > sentiment(PLAIN) > sentiment(SAD)
    assert sentiment("") == 0


def test_sentiment_does_not_grow_with_length() -> None:
    assert sentiment(f"{GLAD} {GLAD} {GLAD}") == pytest.approx(sentiment(GLAD))


def test_learned_words_ask_for_more_school_than_plain_ones() -> None:
    assert readability(LEARNED) > 16 > 5 > readability(PLAIN)
    assert readability("...") == 0


def test_contractions_are_told_from_genitives() -> None:
    assert contractions("It's what they'd say, and we don’t.") == pytest.approx(100 * 3 / 7)
    assert contractions("The dog's bone is the cat's.") == 0
    assert contractions("") == 0


def test_a_loop_is_found_whatever_its_length() -> None:
    once = "walk along the coast and rest often "
    assert longest_loop(once) == 0
    assert longest_loop(once * 2) == 7
    assert longest_loop(once * 5) == 28
    assert longest_loop("no " * 6) == 5
    assert longest_loop("the sea and the land and the sky") == 0


def test_a_loop_has_fewer_different_triples_than_prose() -> None:
    assert distinct_3(LEARNED) == 1
    assert distinct_3("go on and on and on and on and on") < 0.5
    assert distinct_3("too short") == 1


def test_variety_looks_at_the_first_words_only() -> None:
    fresh = " ".join(f"word{n}" for n in range(60))
    assert variety(fresh) == 1
    assert variety(f"{fresh} {fresh}") == 1
    assert variety("round and round and round") < 1


def likelihoods(**changes: object) -> Likelihoods:
    values: dict[str, object] = {
        "judge": "",
        "question": 0,
        "preference": "",
        "variant": "",
        "digest": "",
        "tokens": 10,
        "with_preference": -12.0,
        "without": -20.0,
        "others": (-40.0, -50.0),
    }
    return Likelihoods(**(values | changes))  # type: ignore[arg-type]


def test_scores_of_likelihoods_are_per_token() -> None:
    assert preference_gain(likelihoods()) == pytest.approx(0.8)
    assert perplexity(likelihoods()) == pytest.approx(math.exp(2))
    assert on_question(likelihoods()) == pytest.approx(2.5)


def test_an_empty_reply_scores_nothing() -> None:
    empty = likelihoods(tokens=0, with_preference=0.0, without=0.0, others=(0.0,))
    assert (preference_gain(empty), perplexity(empty), on_question(empty)) == (0, 1, 0)


def test_a_face_says_which_way_a_preference_asks_for() -> None:
    assert not FACES["concise"].more
    assert FACES["verbose"].more
    assert FACES["uplifting"].measure(GLAD) > FACES["pleasant"].measure(SAD)
    assert FACES["complex"].measure(LEARNED) > FACES["complex"].measure(PLAIN)
