"""Every kind of instruction, on texts that follow it and texts that do not."""

from __future__ import annotations

import sys
from functools import partial
from typing import get_args

import msgspec
import pytest

from amulet_local.errors import NotUsableError
from amulet_local.verifiers import Verifier, loose, strict, verifier
from amulet_local.verifiers import language as language_module
from amulet_local.verifiers.answers import Answer
from amulet_local.verifiers.sentences import sentences, word_count
from tests.checks import calls, some

KINDS = {each.__struct_config__.tag for each in set(get_args(Verifier)) - set(get_args(Answer))}
OURS = {
    "change_case:capital",
    "change_case:lowercase",
    "detectable_format:bullets",
    "length_constraints:paragraphs",
}
WORDS = "length_constraints:number_words"
GERMAN = "Der Film ist langsam, leise und sehr schön, und ich sehe ihn gern noch einmal."
ENGLISH = "the film is slow and quiet, and i would very much like to watch it once more."

# kind, arguments, texts that follow, texts that do not
TABLE: list[tuple[str, dict[str, object], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["sun", "Moon"]},
     ["sun and moon", "SUNDAY, moonlight"], ["sun", "moon", "su n moon"]),
    ("keywords:existence", {"keywords": ["C++"]}, ["I like C++."], ["I like C."]),
    ("keywords:forbidden_words", {"forbidden_words": ["cat", "dog"]},
     ["cats", "catalogue", "dog_1", "a bird"], ["a cat", "Dog!", "the (cat)"]),
    ("keywords:forbidden_words", {"forbidden_words": ["C++"]}, ["C+", "xC++"], ["I like C++."]),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "at least"},
     ["tea tea", "Tea, teapot", "teatea"], ["tea", "te a tea"]),
    ("keywords:frequency", {"keyword": " tea ", "frequency": 2, "relation": "less than"},
     ["tea", "coffee"], ["tea TEA", "tea tea tea"]),
    ("keywords:letter_frequency", {"letter": "E", "let_frequency": 3, "let_relation": "at least"},
     ["eEe", "here we be"], ["ee", "é e e"]),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 1, "let_relation": "less than"},
     ["none"], ["one #"]),
    ("language:response_language", {"language": "de"}, [GERMAN], [ENGLISH, "12345", "..."]),
    ("language:response_language", {"language": "zh"},
     ["这部电影很慢,很安静,也非常美丽。", "這部電影很慢,很安靜,也非常美麗。"], [ENGLISH]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"},
     ["One. Two.", "Why? No!", '"Yes." she said.', "Hm. ok"],
     ["One", "Dr. Smith came at 5 p.m. on Jan. 3.", "e.g. this", "Well... yes", "1.5 is it"]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"},
     ["One.", "One **bold.**", "A list\n- a\n- b"], ["One. Two.", "我来了。你好。"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"},
     ["one two three", "it's one", "a-b c"], ["one two", "... !"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"},
     ["one two", "फिल्म धीमी"], ["one two three"]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2},
     ["a***b", "***a\n***\nb***", "a *** b"], ["a", "a\n\nb", "a***b***c", "a*** ***b"]),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Well"},
     ["a\n\nwell b", "a\n\n'Well, b", "a\n\n\n\nWELL!"], ["a\n\nb well", "well", "a\n\nb\n\nwell"]),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "it's"}, ["It's so"], ["it is so"]),
    ("length_constraints:paragraphs", {"num_paragraphs": 2, "relation": "at least"},
     ["a\n\nb", "a\n\n\n\nb\n\nc"], ["a\nb", "a\n\n"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2},
     ["[a] [b]", "[] [x [y]"], ["[a]", "[[a]]", "[a\n] [b]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."},
     ["Bye\nP.S. One", "p. s. one"], ["PS one", "P.P.S one"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"},
     ["p.p.s. one", "P. P. S one"], ["P.S. one"]),
    ("detectable_content:postscript", {"postscript_marker": "N.B."}, ["n.b. one"], ["nab one"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2},
     ["* a\n* b", "- a\n  * b", "Here:\n* a\n\n- b\nBye"],
     ["* a", "* a\n* b\n* c", "** a\n* b", "• a\n• b"]),
    ("detectable_format:bullets", {"num_bullets": 2, "relation": "at least"},
     ["* a\n* b", "- a\n- b\n- c"], ["* a", "a"]),
    ("detectable_format:constrained_response", {},
     ["My answer is yes.", "Well. My answer is maybe. So."],
     ["My answer is yes", "my answer is no."]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2},
     ["*a* **b**", "***a***", "*a b*\n*c*"], ["*a*", "** **", "*a\nb* *c*"]),
    ("detectable_format:multiple_sections", {"section_spliter": "SECTION", "num_sections": 2},
     ["SECTION 1\na\nSECTION 2\nb", "SECTION1 SECTION 2 SECTION 3"],
     ["SECTION 1", "Section 1 Section 2", "SECTION A SECTION B"]),
    ("detectable_format:json_format", {},
     ["{}", ' ["a"] ', '```json\n{"a": 1}\n```', "```\n1```", "```JSON\n[]\n```"],
     ["Here: {}", "{'a': 1}", "```python\n{}\n```", "[" * 100_000, "9" * 5000]),
    ("detectable_format:title", {},
     ["<<A>>", "a <<b>> c\nd"], ["<<>>", "<< >>", "<<a\n>>", ">>a<<"]),
    ("combination:two_responses", {},
     ["a******b", "******a\n******\nb******"],
     ["a", "a******a ", "a******b******c", "a************b"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it "},
     ["say IT: yes", " Say it"], ["it", "I say it"]),
    ("startend:end_checker", {"end_phrase": "Good bye."},
     ["So, good BYE.", '"Good bye."', "Good bye.\n"], ["Good bye", "Good bye. Bye"]),
    ("startend:end_checker", {"end_phrase": '"Yes."'}, ['He said "Yes."'], ["Yes"]),
    ("startend:quotation", {}, ['"a"', ' "a"\n', '"a" "b"'], ['"', '"a', "“a”", "'a'"]),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"},
     ["THE END", "A B", "DON'T", "CAN'T", "CANNOT", "A--B", "(A) [B]", "it.*A B*", "10:30AM U.S."],
     ["The END", "A/B", "A_B", "O'NEIL", "U.S.", "a b"]),
    ("change_case:capital_word_frequency",
     {"capital_frequency": 1, "capital_relation": "less than"},
     ["Nothing", "1 2"], ["ONE", "I am", "5A"]),
    ("change_case:english_capital", {},
     ["I WOULD LIKE TO THINK THAT THIS IS THE BEST THING WHICH THEY HAVE WITH THE OTHERS"],
     [ENGLISH, "ЭТОТ ФИЛЬМ ОЧЕНЬ ХОРОШИЙ", "This IS IT"]),
    ("change_case:english_lowercase", {}, [ENGLISH], [ENGLISH.title(), GERMAN.lower(), "123"]),
    ("change_case:capital", {}, ["ÜBER ALLES!", "123", "ª"], ["Über", "STRAßE"]),
    ("change_case:lowercase", {}, ["über alles!", "123", "很慢"], ["Über", "x = Y"]),
    ("punctuation:no_comma", {}, ["a; b", "a，b"], ["a, b", ","]),
]  # fmt: skip


def test_the_table_has_every_kind() -> None:
    assert {kind for kind, *_ in TABLE} == KINDS
    assert len(KINDS - OURS) == 25


@pytest.mark.parametrize(("kind", "arguments", "good", "bad"), TABLE)
def test_texts_follow_or_not(
    kind: str, arguments: dict[str, object], good: list[str], bad: list[str]
) -> None:
    wish = verifier(kind, arguments)
    assert [text for text in good if not wish.follows(text)] == []
    assert [text for text in bad if wish.follows(text)] == []


@pytest.mark.parametrize(("kind", "arguments", "good", "bad"), TABLE)
def test_a_kind_travels_as_a_tagged_message(
    kind: str, arguments: dict[str, object], good: list[str], bad: list[str]
) -> None:
    wish = verifier(kind, {"not_given": None, **arguments})
    assert wish.kind == kind
    packed = msgspec.msgpack.encode(wish)
    assert msgspec.msgpack.decode(packed)["type"] == kind
    assert msgspec.msgpack.decode(packed, type=Verifier) == wish
    assert hash(wish) == hash(verifier(kind, arguments))


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        ("punctuation:no_colon", {}, 'there is no kind of instruction "punctuation:no_colon"'),
        ("punctuation:no_comma", {"type": "x"}, '"type"'),
        ("punctuation:no_comma", {"commas": 1}, "unknown field `commas`"),
        (WORDS, {"num_words": None, "relation": "at least"}, "num_words"),
        (WORDS, {"num_words": -1, "relation": "at least"}, ">= 0"),
        (WORDS, {"num_words": 10**9, "relation": "at least"}, "<= 1000000"),
        (WORDS, {"num_words": 1.5, "relation": "at least"}, "`int`"),
        (WORDS, {"num_words": 1, "relation": "at most"}, "relation"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": 0}, ">= 1"),
        ("length_constraints:nth_paragraph_first_word",
         {"num_paragraphs": 1, "nth_paragraph": 2, "first_word": "a"}, "more than num_paragraphs"),
        ("keywords:existence", {"keywords": []}, "length >= 1"),
        ("keywords:existence", {"keywords": [""]}, "length >= 1"),
        ("keywords:existence", {"keywords": "tea"}, "`array`"),
        ("keywords:frequency",
         {"keyword": " ", "frequency": 1, "relation": "at least"}, "no words"),
        ("keywords:letter_frequency",
         {"letter": "ab", "let_frequency": 1, "let_relation": "at least"}, "length <= 1"),
        ("language:response_language", {"language": "xx"}, "language"),
        ("startend:end_checker", {"end_phrase": ' "" '}, "no words"),
        ("combination:repeat_prompt", {"prompt_to_repeat": "a" * 100_001}, "length <= 100000"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be_used_are_refused(
    kind: str, arguments: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        verifier(kind, arguments)
    assert "\n" not in str(refused.value)


def test_whole_numbers_of_a_table_with_gaps_are_integers() -> None:
    wish = verifier("detectable_format:number_bullet_lists", {"num_bullets": 3.0})
    assert wish == verifier("detectable_format:number_bullet_lists", {"num_bullets": 3})


def test_strict_is_all_of_them_on_the_text_as_it_is() -> None:
    wishes = [verifier("punctuation:no_comma", {}), verifier("change_case:lowercase", {})]
    assert strict(wishes, "no capitals")
    assert not strict(wishes, "One capital")
    assert not strict(wishes, "one, two")


@pytest.mark.parametrize(
    "text",
    [
        '"in quotes"',
        'Sure!\n"in quotes"',
        '"in quotes"\nBye!',
        'Sure!\n\n"in quotes"\nBye!',
        '*"in quotes"*',
        'Sure!\n**"in quotes"**',
    ],
)
def test_loose_forgives_a_line_at_each_end_and_asterisks(text: str) -> None:
    wish = [verifier("startend:quotation", {})]
    assert loose(wish, text)
    assert strict(wish, text) == (text == '"in quotes"')
    assert not loose(wish, f"One\nTwo\n{text}")


def test_loose_lets_each_have_a_form_of_its_own() -> None:
    wishes = [
        verifier("punctuation:no_comma", {}),
        verifier("keywords:existence", {"keywords": ["sure"]}),
    ]
    assert loose(wishes, "Sure, here it is:\nnothing")
    assert not strict(wishes, "Sure, here it is:\nnothing")


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\t\u3000"])
def test_a_blank_text_follows_nothing(text: str) -> None:
    wish = [verifier("punctuation:no_comma", {})]
    assert not strict(wish, text)
    assert not loose(wish, text)


def test_a_form_that_is_blank_does_not_count() -> None:
    assert not loose([verifier("punctuation:no_comma", {})], "one, two")


def test_without_langdetect_the_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "langdetect", None)
    language_module._detect.cache_clear()
    with pytest.raises(NotUsableError, match=r'pip install "amulet-local\[eval\]"'):
        verifier("language:response_language", {"language": "de"}).follows(GERMAN)
    monkeypatch.undo()
    assert verifier("language:response_language", {"language": "de"}).follows(GERMAN)


def test_a_text_has_one_language_always() -> None:
    assert len({language_module.language_of("ok da di no") for _ in range(20)}) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("At 5 p.m. The man left.", ["At 5 p.m.", "The man left."]),
        ("Mr. J. Smith vs. the U.S. Army.", ["Mr. J. Smith vs. the U.S. Army."]),
        ("It was 2020. The end.", ["It was 2020.", "The end."]),
        ("No. 5 of 2020. and so on", ["No.", "5 of 2020. and so on"]),
        ("So... The end...", ["So...", "The end..."]),
        ("wait.. ok", ["wait.. ok"]),
        ("see x.y.z or a.b", ["see x.y.z or a.b"]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("...", []),
    ],
)
def test_sentences_are_told_apart(text: str, found: list[str]) -> None:
    assert [sentence.strip() for sentence in sentences(text)] == found


def test_signs_that_combine_belong_to_their_word() -> None:
    assert word_count("फिल्म धीमी") == word_count("e\u0301te\u0301 x_1") == 2
    assert word_count("پیام\u200cهای پارسی") == 2


LONG = {  # parts of which long texts are made, by what a family of kinds looks for
    "keywords": ["a", "cat ", "c", "C+", "\ud800"],
    "language": ["a", "a@", "http://a"],
    "length_constraints:number_sentences": [".", "a.", "a. ", "P. ", "?!", "1. ", "...", "\x85"],
    "length_constraints:number_words": ["a", "a ", "e\u0301", "\0"],
    "length_constraints": ["\n\n", "***", "*", " ", "a"],
    "detectable_content": ["[", "[]", "p.", "p. ", "p.\u2003", " "],
    "detectable_format:number": ["*", "* ", "*\n", "**a", "***a", " ", "\n", "- ", " *"],
    "detectable_format": ["<<", "<<a>", ">>", "[1,", "9", "{", "`", "SECTION ", "SECTION 1"],
    "combination": ["*", "******", "a"],
    "startend": ['"', "Good bye", " "],
    "change_case:capital_word": ["A", "A'", "N'T", "CAN", "--", ":", "'T", "MORE'"],
    "change_case": ["a", "A"],
    "punctuation": ["a", "，"],
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "arguments", "good", "bad"), TABLE)
def test_a_long_line_takes_time_in_proportion(
    kind: str, arguments: dict[str, object], good: list[str], bad: list[str]
) -> None:
    """A pattern that tries every start with every end would take minutes."""
    wish = verifier(kind, arguments)
    parts = next(parts for family, parts in LONG.items() if kind.startswith(family))
    for part in some(parts):
        assert isinstance(wish.follows(part * (50_000 // len(part)) + "x"), bool)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["a. ", "* a\n", "<<a>>\n", "A'S ", "[a] ", "我。"])
def test_work_grows_with_the_text_and_no_faster(part: str) -> None:
    wishes = [verifier(kind, arguments) for kind, arguments, *_ in TABLE]
    for wish in some(each for each in wishes if "language" not in each.kind):
        short = calls(partial(wish.follows, part * 1000))
        long = calls(partial(wish.follows, part * 10_000))
        assert long <= 11 * short + 100, wish


@pytest.mark.parametrize("text", ["\0", "\ud800", "\udfff a", "a\0b, \ud83d", "\U0010ffff", "\x85"])
def test_any_text_is_judged(text: str) -> None:
    wishes = [verifier(kind, arguments) for kind, arguments, *_ in TABLE]
    assert [each for each in wishes if type(each.follows(text)) is not bool] == []
    assert [each for each in wishes if type(loose([each], text)) is not bool] == []
