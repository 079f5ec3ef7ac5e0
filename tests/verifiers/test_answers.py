"""Right answers are found in polite, wordy and marked-up replies; wrong ones are not."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import msgspec
import pytest

from amulet_local.verifiers.answers import Answer, Copy, Number, Object, Word
from tests.checks import calls, some


@pytest.mark.parametrize(
    "reply",
    [
        "12",
        "12.",
        "12.0",
        "12 apples",
        "**12**",
        "$12",
        "The answer is 12.",
        "Thank you for asking! The answer is **12**. I wish you a lovely day, and 24 good hours.",
        "The correct answer is: 12",
        "**Answer:** 12 of the 20 apples",
        "The answer to 7 + 5 is 12, of course.",
        "The answer is:\n\n12\n\nLet me know if you have 100 more questions.",
        "The answer would be twelve.",
        "Answer: 7 + 5 = 12",
        "7 + 5 = 12",
        "7+5=12",
        "\\[ 7 + 5 = 12 \\]",
        "The result is \\boxed{12}, not 13, of 5 tries.",
        "It is $\\boxed{12\\text{ apples}}$.",
        "twelve",
        "Twelve!",
        "There are twelve apples.",
        "12\n\nTom has 7 and buys 5.",
        "12. Tom has 7 and buys 5.",
        "Tom has **12** apples, since he had 7 and bought 5.",
        "Tom has **12 apples** now, since he had 7 and bought 5.",
        "1. Tom has 7.\n2. He buys 5.\n3. Together: 12",
        "Step 1: 7 + 5 = 12\nStep 2: done.",
        "It is 12, not 13.",
        "12, rather than 13.",
        "The 2nd one is 12.",
        "答案是12。",
        "+12",
        "１２",
        "There are 12 of them (B52).",
    ],
)
def test_a_number_is_found(reply: str) -> None:
    assert Number(12).follows(reply)
    assert not Number(13).follows(reply)
    assert not Number(-12).follows(reply)


@pytest.mark.parametrize(
    ("value", "reply"),
    [
        (1200, "1,200"),
        (1200, "1{,}200 people"),
        (1200, "1\u00a0200"),
        (1200, "one thousand two hundred"),
        (1200, "1.2 thousand"),
        (1_250_000, "1.25 million euros"),
        (205, "two hundred and five"),
        (21, "Twenty-one."),
        (100, "a hundred"),
        (0, "zero"),
        (3, "one two three"),
        (2, "It occurs twice in it."),
        (-5, "-5"),
        (-5, "−5 degrees"),
        (-5, "minus five"),
        (8, "20-8"),
        (3.5, "3.50 dollars"),
        (3.5, "7/2"),
        (0.1 + 0.2, "0.3"),
        (1, "1. That is all."),
        (12, "12\n12\n12"),
    ],
)
def test_numbers_are_read_in_many_ways(value: float, reply: str) -> None:
    assert Number(value).follows(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "13",
        "112",
        "120",
        "12th",
        "A12",
        "12.5",
        "1,2",
        "12,000",
        "It is not 12.",
        "It isn't 12.",
        "12 - 5 = 7",
        "The answer is 13, since 1 + 12 = 13.",
        "First I thought of 12, but it is 13.",
        "24/2",
        "12/0",
        "twelfth",
        "twelve or thirteen",
        "Twelve hundred",
        "I do not know.",
        "nan",
        "inf",
        "NaN 1e999",
        "1.\n2.\n",
        "The answer is \\boxed{}",
    ],
)
def test_another_number_is_none(reply: str) -> None:
    assert not Number(12).follows(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "Paris",
        "paris.",
        "**Paris**",
        "PARIS",
        "The capital of France is Paris, not Lyon.",
        "What a lovely question! It is _Paris_.",
        "The answer is: Paris",
        "Paris's streets are old; it is the capital.",
        "It is not Lyon but Paris.",
        "Parïs",
        "Ｐａｒｉｓ",
        "The capital is\n\n`Paris`",
        "The City of Light",
    ],
)
def test_a_word_is_found(reply: str) -> None:
    assert Word(("Paris", "City of Light")).follows(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Lyon",
        "Parisian",
        "comparison",
        "It is not Paris.",
        "The answer is Lyon. I like Paris.",
        "P a r i s",
    ],
)
def test_another_word_is_none(reply: str) -> None:
    assert not Word(("Paris",)).follows(reply)


def test_subscripts_and_signs_are_plain_letters_and_accepted_words_are_no_patterns() -> None:
    for reply in ("H₂O", "h2o", "H_2O", "$H_{2}O$"):
        assert Word(("H2O",)).follows(reply)
    assert Word(("C++",)).follows("It is C++.")
    assert not Word((".*",)).follows("Paris")


TEXT = "Karl paid 19.95 euros (not 20!) for the lamp."


@pytest.mark.parametrize(
    "reply",
    [
        TEXT,
        f'"{TEXT}"',
        f"“{TEXT}”",
        f"\n  {TEXT}  \n",
        f"Of course! Here is the text:\n\n> {TEXT}\n\nCan I help with anything else?",
        f"```\n{TEXT}\n```",
        f"**{TEXT}**",
        f"{TEXT} {TEXT}",
    ],
)
def test_a_copy_is_found(reply: str) -> None:
    assert Copy(TEXT).follows(reply)
    assert Copy(f"  {TEXT}\n").follows(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        TEXT.lower(),
        TEXT[:-1],
        TEXT.replace(" ", "  "),
        TEXT.replace("19.95", "19.59"),
        TEXT[::-1],
    ],
)
def test_what_differs_is_no_copy(reply: str) -> None:
    assert not Copy(TEXT).follows(reply)


def test_a_copy_stands_alone_and_on_lines_of_any_system() -> None:
    assert not Copy("The cat").follows("The cats")
    assert not Copy("cat").follows("concatenate")
    assert Copy("The cat").follows("_The cat_")
    assert Copy("one\ntwo").follows("one\r\ntwo")
    assert Copy("a.c").follows("a.c")
    assert not Copy("a.c").follows("abc")


OBJECT: dict[str, Any] = {
    "name": "Anna",
    "age": 12,
    "pets": ["dog", "cat"],
    "tall": True,
    "car": None,
}
SAID = '{"age": 12.0, "name": " anna", "pets": ["Dog", "cat "], "tall": true, "car": null}'


@pytest.mark.parametrize(
    "reply",
    [
        SAID,
        json.dumps(OBJECT),
        json.dumps(OBJECT, indent=4),
        f"```json\n{SAID}\n```",
        f"Certainly! Here it is:\n\n```json\n{SAID}\n```\n\nThank you for {{asking}}!",
        f"Here it is: {SAID} Is there anything else?",
        f"[{SAID}]",
        f'Not {{"name": "Bob"}} but {SAID}',
        f"a {{ brace and {SAID}",
        f"{SAID}{SAID}",
    ],
)
def test_an_object_is_found(reply: str) -> None:
    assert Object(OBJECT).follows(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "{}",
        "Anna, 12",
        SAID[:-1],
        SAID.replace("12.0", "13"),
        SAID.replace("12.0", '"12"'),
        SAID.replace("12.0", "true"),
        SAID.replace("12.0", "NaN"),
        SAID.replace("12.0", "Infinity"),
        SAID.replace("true", "1"),
        SAID.replace("null", "false"),
        SAID.replace("null", "{}"),
        SAID.replace("Dog", "cow"),
        SAID.replace('"Dog", "cat "', '"cat", "dog"'),
        SAID.replace('"Dog", ', ""),
        SAID.replace('"name"', '"Name"'),
        SAID.replace('"', "'"),
        SAID.replace("}", ', "more": 1}'),
        SAID.replace('"tall": true, ', ""),
        f'{SAID} {{"name": "Bob"}}',
        f'{{"answer": {SAID}}}',
    ],
)
def test_another_object_is_none(reply: str) -> None:
    assert not Object(OBJECT).follows(reply)


ANSWERS: list[Answer] = [Number(12), Word(("Paris",)), Copy(TEXT), Object(OBJECT)]
LONG = 25_000  # characters; some twenty times the longest reply


def long(piece: str) -> str:
    """The piece, again and again."""
    return (piece * LONG)[:LONG]


@pytest.mark.slow
@pytest.mark.parametrize(
    "reply",
    [
        long("9"),
        long("1,"),
        long("1,111"),
        long("1/"),
        "9" * 5000 + "." + "9" * 5000,
        long("-"),
        '{"a":' * LONG,  # objects in objects, as deep
        long('{"a":['),
        long("{"),
        '{"' + "a" * LONG,
        '{"age": ' + "9" * LONG + "}",
        '{"age": 1e' + "9" * LONG + "}",
        long("["),
        long("*"),
        long("**1"),
        long("$"),
        long("\\boxed{"),
        long("answer is"),
        long("the answer "),
        long("answer to "),
        "answer to" + " " * LONG,
        "answer" + " " * LONG,
        "answer: " + "'" * LONG,
        long("step "),
        long("one "),
        long("million "),
        "one" + " " * LONG,
        long("not "),
        "not" + " " * LONG,
        long("\n1. "),
        long(" "),
        long("\n"),
        long("\0"),
        long("\ud800"),
        '{"name": "\\ud800"}',
        long("\ufdfa"),
        "a" + long("\u0300\u0316"),
        long(TEXT[:-1]),
    ],
    ids=lambda reply: ascii(reply[:12]),
)
def test_nothing_in_a_reply_is_raised_or_taken_for_the_answer(reply: str) -> None:
    assert not any(each.follows(reply) for each in some(ANSWERS))


@pytest.mark.parametrize("piece", ["1 ", "one ", "{ ", "not Paris ", "answer is 1. ", "\n1. "])
def test_twice_the_reply_is_at_most_about_twice_the_work(piece: str) -> None:
    def judge(times: int) -> None:
        for each in ANSWERS:
            each.follows(piece * times)

    judge(1)
    assert calls(lambda: judge(4000)) <= 2.2 * calls(lambda: judge(2000))


def test_accents_are_sorted_out_letter_by_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []

    def normalize(form: Any, text: str) -> str:
        lengths.append(len(text))
        return text

    monkeypatch.setattr(unicodedata, "normalize", normalize)
    Word(("Paris",)).follows("a" + "\u0300\u0316" * 50)
    assert max(lengths) == 1


@pytest.mark.parametrize("each", ANSWERS)
def test_answers_travel_as_json_by_their_kind(each: Answer) -> None:
    assert json.loads(msgspec.json.encode(each))["type"] == each.kind
    assert msgspec.json.decode(msgspec.json.encode(each), type=Answer) == each


@pytest.mark.parametrize(
    "given",
    [
        {"type": "answer:number", "value": 1e16},
        {"type": "answer:number", "value": "12"},
        {"type": "answer:number"},
        {"type": "answer:word", "accepted": []},
        {"type": "answer:word", "accepted": [""]},
        {"type": "answer:word", "accepted": ["a"] * 33},
        {"type": "answer:copy", "text": ""},
        {"type": "answer:copy", "text": "a" * 4001},
        {"type": "answer:json", "value": {}},
        {"type": "answer:json", "value": {"a": {"b": 1}}},
        {"type": "answer:json", "value": {"a": [[1]]}},
        {"type": "answer:json", "value": {str(n): n for n in range(33)}},
        {"type": "answer:other"},
    ],
)
def test_arguments_are_bounded(given: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, Answer)
