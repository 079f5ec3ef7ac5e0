"""Questions come in three formats, and what cannot be used is said in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amulet_local.errors import NotUsableError
from amulet_local.evaluation.questions import Question, bundled_questions, read_questions


def test_forty_different_questions_are_bundled() -> None:
    questions = bundled_questions()
    assert len({each.question for each in questions}) == 40
    assert [each.index for each in questions] == list(range(40))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"index": 7, "question": " Why? "}, {"index": 3, "question": "How?"}]),
        '{"index": 7, "question": "Why?"}\n\n{"index": 3, "question": "How?", "source": "mine"}\n',
        '\ufeff[{"index": 7, "question": "Why?"}, {"index": 3, "question": "How?"}]',
    ],
)
def test_indices_of_a_file_are_kept_in_its_order(tmp_path: Path, text: str) -> None:
    path = tmp_path / "questions"
    path.write_text(text, encoding="utf-8")
    assert read_questions(path) == [Question(7, "Why?"), Question(3, "How?")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "questions.txt"
    path.write_text("Où ?\r\nWhy?\r\n", encoding)
    assert read_questions(path) == [Question(0, "Où ?"), Question(1, "Why?")]


def test_plain_lines_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "questions.txt"
    path.write_text("Why?\n\n  How?  \n", encoding="utf-8")
    assert read_questions(path) == [Question(0, "Why?"), Question(1, "How?")]


@pytest.mark.parametrize("mark", ["\u2028", "\x85"])
def test_breaks_that_json_has_in_a_string_end_no_line(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(f'{{"question": "Why{mark}me?"}}\n', encoding="utf-8")
    assert read_questions(path) == [Question(0, f"Why{mark}me?")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"[]", "it is empty"),
        (b'[{"index": 1}]', "missing required field `question`"),
        (b'[{"question": " "}]', "question 0 is empty"),
        (
            b'[{"index": 1, "question": "a"}, {"index": 1, "question": "b"}]',
            "index 1 appears twice",
        ),
        (b'{"question": "a"}\nnot json', "line 2"),
        (b'{"question": "a"}\n' + b'{"x": ' * 99_999, "line 2: its values are nested too deeply"),
        (b"\xff\xfe\x00", "decode"),
        (b"one\ncaf\xe9", "line 2: it is not text in UTF-8, byte 8, 0xE9"),
        (b"one\n\0", "line 2: it is binary"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "questions.json"
    path.write_bytes(data)
    with pytest.raises(NotUsableError, match="contains no usable questions") as told:
        read_questions(path)
    assert reason in str(told.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotUsableError, match="there is no file"):
        read_questions(tmp_path / "nothing.json")
