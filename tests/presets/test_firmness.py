"""How firmly, in a word, comes to a strength that a model bears."""

from __future__ import annotations

import pytest

from amulet_local.presets.firmness import USUAL_BEARING, WORDS, shown, strength_of, typed


def test_words_rise_from_prompting_to_what_the_model_bears() -> None:
    strengths = [strength_of(word, 5.0) for word in WORDS]
    assert strengths == [2.0, 3.0, 5.0]
    assert strength_of("firmly") == USUAL_BEARING


def test_on_a_model_that_bears_nothing_every_word_is_prompting() -> None:
    assert {strength_of(word, 1.0) for word in WORDS} == {1.0}


@pytest.mark.parametrize("number", [-2.0, 0.0, 2.5, 5.65])
def test_a_number_stays_a_number_on_every_model(number: float) -> None:
    assert strength_of(number, 1.5) == strength_of(number, 9.0) == number


def test_what_is_shown_can_be_typed() -> None:
    assert shown("clearly") == "clearly"
    assert shown(2.51234) == "2.51"
    assert typed(" firmly ") == strength_of("firmly")
    assert typed("2,5") == 2.5
    with pytest.raises(ValueError, match="hardly"):
        typed("hardly")
