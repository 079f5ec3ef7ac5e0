"""What a verifier asks for is said in words that a user would use."""

from __future__ import annotations

import pytest

from amulet_local.verifiers import verifier
from amulet_local.verifiers.recognise import recognised
from amulet_local.verifiers.words import in_words
from tests.checks import some
from tests.verifiers.test_recognise import CERTAIN


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("in lower case", ["in lower case"]),
        ("all caps", ["in capitals"]),
        ("no commas", ["no commas"]),
        ("JSON only", ["JSON"]),
        ("under 100 words", ["at most 99 words"]),
        ("at least 1,000 words", ["at least 1,000 words"]),
        ("one sentence", ["at least 1 sentence", "at most 1 sentence"]),
        ("2 to 3 paragraphs", ["at least 2 paragraphs", "at most 3 paragraphs"]),
        ("without bullets", ["no bullets"]),
        ("exactly 3 bullets", ["exactly 3 bullets"]),
        ('include the words "sea" and "sky"', ["with “sea”, “sky”"]),
        ('without the word "very"', ["without “very”"]),
        ('use the word "sea" twice', ["“sea” at least 2 times"]),
        ('end with "Yours."', ["ends with “Yours.”"]),
        ("with a P.S.", ["a P.S."]),
        ("in quotation marks", ["in quotation marks"]),
        ("a title in double angle brackets", ["a title"]),
    ],
)
def test_a_wish_is_said_in_words(wish: str, words: list[str]) -> None:
    assert [in_words(each) for each in recognised(wish)] == words


def test_a_language_is_called_by_its_name() -> None:
    assert in_words(verifier("language:response_language", {"language": "fr"})) == "in French"


def test_whatever_is_recognised_has_words_of_its_own() -> None:
    for verifiers in some(CERTAIN.values()):
        for each in some(verifiers):
            assert "_" not in in_words(each)
            assert in_words(each) != each.kind.partition(":")[2].replace("_", " ")


def test_other_kinds_are_called_by_their_name() -> None:
    other = verifier("combination:two_responses", {})
    assert in_words(other) == "two responses"
