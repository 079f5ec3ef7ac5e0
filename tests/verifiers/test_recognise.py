"""Wishes that users type are recognised where they are certain, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amulet_local.verifiers import Verifier, verifier
from amulet_local.verifiers.recognise import recognised
from tests.checks import some

LOWER = verifier("change_case:lowercase", {})
CAPITAL = verifier("change_case:capital", {})
NO_COMMA = verifier("punctuation:no_comma", {})
JSON = verifier("detectable_format:json_format", {})
TITLE = verifier("detectable_format:title", {})
QUOTATION = verifier("startend:quotation", {})
POSTSCRIPT = verifier("detectable_content:postscript", {"postscript_marker": "P.S."})


def bullets(number: int) -> Verifier:
    return verifier("detectable_format:number_bullet_lists", {"num_bullets": number})


def counted(unit: str, relation: str, number: int) -> Verifier:
    kind = {
        "words": "length_constraints:number_words",
        "sentences": "length_constraints:number_sentences",
        "paragraphs": "length_constraints:paragraphs",
        "bullets": "detectable_format:bullets",
    }[unit]
    return verifier(kind, {f"num_{unit}": number, "relation": relation})


def at_most(number: int, unit: str) -> Verifier:
    return counted(unit, "less than", number + 1)


def at_least(number: int, unit: str) -> Verifier:
    return counted(unit, "at least", number)


def includes(*words: str) -> Verifier:
    return verifier("keywords:existence", {"keywords": words})


def excludes(*words: str) -> Verifier:
    return verifier("keywords:forbidden_words", {"forbidden_words": words})


def ends(phrase: str) -> Verifier:
    return verifier("startend:end_checker", {"end_phrase": phrase})


def speaks(language: str) -> Verifier:
    return verifier("language:response_language", {"language": language})


CERTAIN: dict[str, list[Verifier]] = {
    "all in lower case": [LOWER],
    "all lowercase": [LOWER],
    "Please write everything in lower-case letters.": [LOWER],
    "use only lowercase letters": [LOWER],
    "no capital letters": [LOWER],
    "don't use any capitals": [LOWER],
    "in all caps": [CAPITAL],
    "ALL CAPITALS": [CAPITAL],
    "Answer only in upper case": [CAPITAL],
    "in block capitals, please": [CAPITAL],
    "no commas": [NO_COMMA],
    "Don’t use any commas!": [NO_COMMA],
    "Refrain from using commas.": [NO_COMMA],
    "your answer should not contain commas": [NO_COMMA],
    "JSON only": [JSON],
    "reply with nothing but valid JSON": [JSON],
    "Wrap the entire output in JSON format": [JSON],
    "exactly 3 bullet points": [bullets(3)],
    "in three bullets": [bullets(3)],
    "at least 4 bullet points": [at_least(4, "bullets")],
    "no more than five bullets": [at_most(5, "bullets")],
    "without bullet points": [at_most(0, "bullets")],
    "under 100 words": [at_most(99, "words")],
    "at most 100 words": [at_most(100, "words")],
    "Keep it under 1,000 words": [at_most(999, "words")],
    "80 words max": [at_most(80, "words")],
    "in fifty words or less": [at_most(50, "words")],
    "do not exceed 20 words": [at_most(20, "words")],
    "limit your answer to 30 words": [at_most(30, "words")],
    "over 200 words": [at_least(201, "words")],
    "200+ words": [at_least(200, "words")],
    "at least two hundred words": [at_least(200, "words")],
    "exactly 12 words": [at_least(12, "words"), at_most(12, "words")],
    "between 50 and 80 words": [at_least(50, "words"), at_most(80, "words")],
    "50-80 words": [at_least(50, "words"), at_most(80, "words")],
    "in one sentence": [at_least(1, "sentences"), at_most(1, "sentences")],
    "Your reply must be at most two sentences.": [at_most(2, "sentences")],
    "fewer than 4 paragraphs": [at_most(3, "paragraphs")],
    "in two paragraphs": [at_least(2, "paragraphs"), at_most(2, "paragraphs")],
    "max. 100 words": [at_most(100, "words")],
    "no longer than 100 words": [at_most(100, "words")],
    "never more than 50 words": [at_most(50, "words")],
    "keep it to 2 sentences": [at_most(2, "sentences")],
    "keep your reply to at most two sentences": [at_most(2, "sentences")],
    "limit yourself to 2 sentences": [at_most(2, "sentences")],
    "at least 300 words long": [at_least(300, "words")],
    "between 50 and 100 words long": [at_least(50, "words"), at_most(100, "words")],
    "from 50 to 100 words": [at_least(50, "words"), at_most(100, "words")],
    "just one sentence": [at_least(1, "sentences"), at_most(1, "sentences")],
    "Your answer should be 2 sentences long.": [at_least(2, "sentences"), at_most(2, "sentences")],
    "as a list of exactly 4 bullet points": [bullets(4)],
    "in the form of exactly 4 bullet points": [bullets(4)],
    "three bullet points only": [bullets(3)],
    "do not use bullet points": [at_most(0, "bullets")],
    'include the word "banana"': [includes("banana")],
    "use the word banana": [includes("banana")],
    "Include the word Argentinian.": [includes("argentinian")],
    "mention 'ice cream'": [includes("ice cream")],
    'with the words "sun", "moon" and "star"': [includes("sun", "moon", "star")],
    'use the word "tea" at least 3 times': [
        verifier("keywords:frequency", {"keyword": "tea", "frequency": 3, "relation": "at least"})
    ],
    'Make sure to include the word "rate".': [includes("rate")],
    'Make sure not to include the word "rate".': [excludes("rate")],
    'without the word "very"': [excludes("very")],
    "do not use the word sleep": [excludes("sleep")],
    'Don\'t say "sorry"': [excludes("sorry")],
    'avoid the words “delve” and “tapestry”': [excludes("delve", "tapestry")],
    'never use the word "I" or "me"': [excludes("I", "me")],
    'end with "Cheers!"': [ends("Cheers!")],
    'Finish your reply with the exact phrase "Is there anything else?"': [
        ends("Is there anything else?")
    ],
    "in quotation marks": [QUOTATION],
    "Put your whole response in double quotes.": [QUOTATION],
    "reply in German": [speaks("de")],
    "Write in Spanish only, please.": [speaks("es")],
    "only in the Hindi language": [speaks("hi")],
    "answer me in Chinese": [speaks("zh")],
    "with a title in double angle brackets": [TITLE],
    "Include a title wrapped in double angular brackets": [TITLE],
    "add a P.S.": [POSTSCRIPT],
    "with a P.S. at the end": [POSTSCRIPT],
    "all in lower case, under 100 words": [LOWER, at_most(99, "words")],
    "in German and at most 3 sentences": [speaks("de"), at_most(3, "sentences")],
    "No commas; in all caps. Thanks!": [NO_COMMA, CAPITAL],
    "- no commas\n- 3 bullet points": [NO_COMMA, bullets(3)],
    "without commas and under 50 words": [NO_COMMA, at_most(49, "words")],
    'no commas but include the word "tea"': [NO_COMMA, includes("tea")],
    'use the word "tea" and do not use the word "milk"': [includes("tea"), excludes("milk")],
    'end with "no commas, please", in quotation marks': [ends("no commas, please"), QUOTATION],
}  # fmt: skip

UNCERTAIN = [
    "",
    " ,.",
    "please",
    "be kind",
    "short",
    # denied
    "not all in lower case",
    "not in German",
    "don't write in all caps",
    "never reply in French",
    "no P.S.",
    "make sure not to answer in German",
    "not under 100 words",
    "without quotation marks",
    "do not end with \"Cheers\"",
    "don't include exactly 3 bullet points",
    # asked, doubted, or on a condition
    "in German?",
    "can you use the word \"tea\"?",
    "why no commas",
    "in lower case if possible",
    "maybe under 100 words",
    "try to avoid commas",
    "if I write in German, reply in German",
    "all caps for headings",
    "all lower case, except names",
    "fewer commas",
    "mostly in lower case",
    # about a part, or a thing of the same name
    "titles in quotation marks",
    "under 10 words per sentence",
    "each bullet at most 10 words",
    "sentences under 20 words",
    "3 bullet points per section",
    "use the word processor",
    "include the word count",
    "use the words wisely",
    "use the word sparingly",
    "use capital letters",
    "use lower case letters for variables",
    "explain how to end with \"Cheers\" in Python",
    "write about commas",
    "a poem in German",
    "translate it into German",
    "in German style",
    "in plain English",
    "in British English",
    # about how many
    "in about 100 words",
    "100 words",
    "in 100 words",
    "a few bullet points",
    "3 or 4 bullet points",
    "2x100 words",
    "1.000 words",
    "at least 0 words",
    "under 1 words",
    "between 80 and 50 words",
    # several things at once
    "in German or French",
    "in German and French",
    "in German, in French",
    "all caps, all lower case",
    "in lower case, and be kind",
    "no commas and a title in double angle brackets",
    "do not use commas and include the word \"tea\"",
    "no commas or semicolons",
    "no commas, bullets or titles",
    "do not use the word \"cat\", dog",
    "use the word \"tea\" or \"coffee\"",
    "use \"tea\" instead of \"coffee\"",
    "under 100 words in German",
    # quoted
    '"all in lower case"',
    "'no commas'",
    "he said \"in German\"",
    "say \"reply in German\" in lower case",
    "include the word \"tea",
    "include the word \"\"",
    "end with '\"'",
    "include the word \ue000",
    "in JSON",
    "like JSON only",
    "no\0commas",
    "in Klingon",
    "no commas, " * 60,
]  # fmt: skip


@pytest.mark.parametrize(("words", "meant"), CERTAIN.items())
def test_a_certain_wish_is_recognised(words: str, meant: list[Verifier]) -> None:
    assert list(recognised(words)) == meant


@pytest.mark.parametrize("words", UNCERTAIN)
def test_an_uncertain_wish_is_not(words: str) -> None:
    assert recognised(words) == ()


def test_a_wish_is_not_recognised_together_with_an_uncertain_one() -> None:
    for words in some(CERTAIN):
        assert recognised(f"{words}, be kind") == recognised(f"be kind; {words}") == ()


def test_a_question_is_no_wish() -> None:
    assert all(recognised(f"{words}?") == () for words in some(CERTAIN))


def test_a_language_is_not_recognised_where_it_could_not_be_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("amulet_local.verifiers.phrases.find_spec", lambda name: None)
    assert recognised("in German") == ()
    assert recognised("no commas") == (NO_COMMA,)


@given(st.lists(st.sampled_from([*CERTAIN, *UNCERTAIN, '"', "'", " and ", ", ", "\ud800", "`"])))
def test_any_words_can_be_read(words: list[str]) -> None:
    assert isinstance(recognised("".join(words)), tuple)
