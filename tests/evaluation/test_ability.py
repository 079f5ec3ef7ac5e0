"""240 questions have one right answer each; what can be computed is computed here once more."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

import msgspec
import pytest

from amulet_local.verifiers.answers import Answer, Copy, Number, Object, Word
from tests.checks import some

LINES = resources.files("amulet_local.evaluation").joinpath("ability.jsonl").read_text("utf-8")
QUESTIONS: dict[str, dict[str, Any]] = {
    each["key"]: each for each in map(json.loads, LINES.splitlines())
}
ARITHMETIC, FACTS, COPYING, COUNTING, EXTRACTION = (
    [QUESTIONS[f"ability-{n:03}"] for n in range(first, last + 1)]
    for first, last in ((1, 60), (61, 120), (121, 160), (161, 200), (201, 240))
)
SUM = re.compile(r"What is ([\d\s.+*/()-]+)\?")
ONLY = re.compile(r" Answer with (?:the number only|one word|the JSON object only)\.\Z")

# What the stories come to; test_sums_and_stories_are_computed_again compares their numbers, too.
STORIES = {
    "ability-002": "5 + 3",
    "ability-004": "12 - 4",
    "ability-006": "6 * 4",
    "ability-008": "20 / 5",
    "ability-010": "8 + 2",
    "ability-012": "10 * 7",
    "ability-014": "30 - 12",
    "ability-016": "24 - 3",
    "ability-018": "60 * 3",
    "ability-020": "15 + 9",
    "ability-022": "18 / 3",
    "ability-024": "5 * 8",
    "ability-026": "28 - 13",
    "ability-028": "9 * 6",
    "ability-030": "14 - 3",
    "ability-032": "4 * 9",
    "ability-034": "48 / 8",
    "ability-036": "(2 + 2) * 5",
    "ability-038": "50 - 18 - 12",
    "ability-040": "12 / 3 * 1",
    "ability-042": "7 * 4",
    "ability-044": "4 * 5",
    "ability-046": "80 - 25 + 10",
    "ability-048": "45 / 3",
    "ability-050": "100 - 5 * 6",
    "ability-052": "3 * 8 + 5",
    "ability-054": "80 - 25",
    "ability-056": "12 + 15 + 9",
    "ability-058": "250 * 4",
    "ability-060": "15 * 20 - 120",
}


def answer(entry: dict[str, Any]) -> Answer:
    (kind,), (kwargs,) = entry["instruction_id_list"], entry["kwargs"]
    made: Answer = msgspec.convert({"type": kind, **kwargs}, Answer)
    return made


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)?", text)


def test_there_are_240_different_questions() -> None:
    lines = [json.loads(line) for line in LINES.splitlines()]
    assert len(lines) == len(QUESTIONS) == 240
    assert len({each["question"] for each in lines}) == 240
    assert sorted(QUESTIONS) == [f"ability-{n:03}" for n in range(1, 241)]


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        (ARITHMETIC, Number),
        (FACTS, Word),
        (COPYING, Copy),
        (COUNTING, Number),
        (EXTRACTION, Object),
    ],
)
def test_every_group_has_its_kind_of_answer(group: list[dict[str, Any]], kind: type) -> None:
    assert all(isinstance(answer(each), kind) for each in some(group))


def test_the_first_questions_are_of_every_group() -> None:
    first = [json.loads(line)["key"] for line in LINES.splitlines()[:12]]
    groups = (ARITHMETIC, FACTS, COPYING, COUNTING, EXTRACTION)
    assert [sum(each["key"] in first for each in group) for group in groups] == [3, 3, 2, 2, 2]


def test_half_of_the_questions_ask_for_the_answer_only() -> None:
    for group in (ARITHMETIC, FACTS, COUNTING, EXTRACTION):
        assert sum(bool(ONLY.search(each["question"])) for each in group) == len(group) // 2


def test_sums_and_stories_are_computed_again() -> None:
    for entry in some(ARITHMETIC):
        plain = SUM.match(entry["question"])
        formula = plain[1] if plain else STORIES[entry["key"]]
        assert eval(formula) == entry["kwargs"][0]["value"], entry["key"]
        assert set(numbers(formula)) <= set(numbers(entry["question"])), entry["key"]


def test_every_story_is_a_question() -> None:
    stories = [each["key"] for each in ARITHMETIC if not SUM.match(each["question"])]
    assert stories == list(STORIES)


def counted(question: str) -> int:
    """What the question asks to count."""
    if found := re.match(r'How many letters are in the word "(\w+)"\?', question):
        return len(found[1])
    if found := re.match(
        r'How many times does the letter "(\w)" occur in the word "(\w+)"\?', question
    ):
        return found[2].count(found[1])
    if found := re.match(r"How many items are in this list: ([\w, ]+)\?", question):
        return len(found[1].split(", "))
    found = re.match(r'How many words are in this sentence: "([^"]+)"', question)
    assert found
    return len(found[1].split())


def test_letters_items_and_words_are_counted_again() -> None:
    for entry in some(COUNTING):
        assert counted(entry["question"]) == entry["kwargs"][0]["value"], entry["key"]


def test_copied_texts_stand_in_their_questions() -> None:
    for entry in some(COPYING):
        text = entry["kwargs"][0]["text"]
        assert text == text.strip()
        assert entry["question"].rstrip('"').endswith(text), entry["key"]


def test_extracted_values_stand_in_their_texts_and_keys_are_asked_for() -> None:
    for entry in some(EXTRACTION):
        _, text, asked = re.split(r'^Text: "([^"]+)"', entry["question"])
        value = entry["kwargs"][0]["value"]
        assert re.findall(r'"(\w+)"', asked) == list(value)
        parts = [
            part for each in value.values() for part in (each if isinstance(each, list) else [each])
        ]
        for part in some(parts):
            assert re.search(rf"\b{re.escape(str(part))}\b", text), (entry["key"], part)


def test_no_question_gives_its_answer_away() -> None:
    for entry in some(ARITHMETIC):
        assert str(entry["kwargs"][0]["value"]) not in numbers(entry["question"]), entry["key"]
    for entry in some(FACTS):
        assert not answer(entry).follows(entry["question"]), entry["key"]


@pytest.mark.parametrize("group", [ARITHMETIC, FACTS, COPYING, COUNTING, EXTRACTION])
def test_the_answer_itself_is_right_and_those_of_other_questions_are_not(
    group: list[dict[str, Any]],
) -> None:
    for entry in some(group):
        own = given(entry["kwargs"][0])
        assert answer(entry).follows(own), entry["key"]
        others = {given(each["kwargs"][0]) for each in group} - {own}
        assert not [each for each in others if answer(entry).follows(each)], entry["key"]
        assert not answer(entry).follows("I do not know that, sorry."), entry["key"]


def given(kwargs: dict[str, Any]) -> str:
    """A reply that is right."""
    if "accepted" in kwargs:
        return str(kwargs["accepted"][0])
    if "text" in kwargs:
        return str(kwargs["text"])
    return json.dumps(kwargs["value"])
