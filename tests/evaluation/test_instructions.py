"""Questions with instructions are read, or it is said in a sentence why they cannot be."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError
from amulet_local.evaluation.instructions import ability_questions, read_instructions
from amulet_local.evaluation.plan import Assignment, Preference
from amulet_local.evaluation.variants import Variant
from amulet_local.protocol.alignment import Fader
from amulet_local.verifiers import verifier
from tests.checks import some

LINE = {
    "key": "7",
    "question": "Why is the sky blue?",
    "question_with_instruction": "Why is the sky blue? Use no commas.",
    "instruction_id_list": ["punctuation:no_comma"],
    "kwargs": [{"num_words": None}],
}


def written(folder: Path, *lines: object, name: str = "format.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_question_with_its_instruction_stands_in_the_place_of_the_question(
    tmp_path: Path,
) -> None:
    ((question, preference),) = read_instructions(written(tmp_path, LINE), 3.0, 0.2)
    assert question.question == "Why is the sky blue?"
    assert question.verifiers == (verifier("punctuation:no_comma", {}),)
    words = "Why is the sky blue? Use no commas."
    assert preference == Preference("format", words, 3.0, 0.2, instead=True)


def test_a_file_whose_name_is_no_text_names_its_preference(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.jsonl")
    ((_, preference),) = read_instructions(written(tmp_path, LINE, name=name))
    assert preference.name == "\\xff"


def test_breaks_that_json_has_in_a_string_end_no_line(tmp_path: Path) -> None:
    path = tmp_path / "format.jsonl"
    line = {**LINE, "question": "Why is\u2028the sky\x85blue?"}
    path.write_text(json.dumps(line, ensure_ascii=False) + "\n", "utf-8")
    ((question, _),) = read_instructions(path)
    assert question.question == "Why is\u2028the sky\x85blue?"


def test_an_instruction_in_words_of_its_own_is_a_preference_like_any_other(tmp_path: Path) -> None:
    line = {**LINE, "question_with_instruction": "", "preference": "Use no commas."}
    ((_, preference),) = read_instructions(written(tmp_path, line))
    assert (preference.words, preference.instead) == ("Use no commas.", False)


def test_a_question_keeps_its_index_whatever_stands_before_it(tmp_path: Path) -> None:
    other = {**LINE, "question": "Why?"}
    ((alone, _),) = read_instructions(written(tmp_path, LINE))
    (_, (second, _)) = read_instructions(written(tmp_path, other, LINE))
    assert second == alone


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({**LINE, "question": " "}, "line 1: the question is empty"),
        ({**LINE, "kwargs": []}, "kwargs must have an entry for each"),
        ({**LINE, "instruction_id_list": []}, "1 to 32 entries"),
        ({**LINE, "question_with_instruction": ""}, "has no instruction"),
        ({**LINE, "instruction_id_list": ["no:such"]}, "no:such"),
        ({**LINE, "instruction_id_list": ["no" * 999]}, 'no kind of instruction "nono'),
        ({**LINE, "kwargs": [{"x" * 999: 1}]}, "xxx…"),
        ({"question": 3}, "line 1"),
        ([], "line 1"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(
    tmp_path: Path, line: object, why: str
) -> None:
    with pytest.raises(NotUsableError, match="no usable instructions") as raised:
        read_instructions(written(tmp_path, line))
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


def test_a_file_that_is_empty_missing_or_twice_the_same_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotUsableError, match="it is empty"):
        read_instructions(written(tmp_path))
    with pytest.raises(NotUsableError, match="appears twice"):
        read_instructions(written(tmp_path, LINE, LINE))
    with pytest.raises(NotUsableError, match="there is no file"):
        read_instructions(tmp_path / "none.jsonl")


def test_the_questions_that_come_with_amulet_can_each_be_answered_rightly() -> None:
    questions = ability_questions()
    assert len(questions) >= 200
    assert len({each.index for each in questions}) == len(questions)
    assert all(each.verifiers for each in some(questions))


def test_a_line_with_each_instruction_is_a_mix_where_it_is_realigned(tmp_path: Path) -> None:
    line = {
        "question": "Why?",
        "question_with_instruction": "Why? Be brief. No commas.",
        "each": ["Why? Be brief.", "Why? No commas."],
        "instruction_id_list": ["punctuation:no_comma"],
        "kwargs": [{}],
    }
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(line))
    ((question, preference),) = read_instructions(path)
    several = Assignment(question, preference, Variant("amulet", "amulet"))
    assert several.faders == (Fader("Be brief.", 2.0), Fader("No commas.", 2.0))
    prompted = Assignment(question, preference, Variant("pref", "pref"))
    assert (prompted.faders, prompted.wish) == ((), "Be brief. No commas.")
    path.write_text(json.dumps({**line, "each": ["", "x"]}))
    with pytest.raises(NotUsableError, match='"each" needs'):
        read_instructions(path)

    path.write_text(json.dumps({**line, "signs": [1, -1]}))
    ((other, signed),) = read_instructions(path)
    away = Assignment(other, signed, Variant("amulet@s=1.5", "amulet", 1.5))
    assert away.faders == (Fader("Be brief.", 1.5), Fader("No commas.", -1.5))
    assert other.index != question.index  # or kept replies would be taken for these
    for signs in ([1], [1, 2]):
        path.write_text(json.dumps({**line, "signs": signs}))
        with pytest.raises(NotUsableError, match="no usable instructions"):
            read_instructions(path)
