"""The questions that replies are written to: a file's, or forty of our own.

A path goes in, questions come out. Three formats are told apart by how the text begins: a JSON
list of {"index": n, "question": text} (the Amulet paper's), the same objects one a line, or plain
lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import msgspec

from amulet_local.errors import NotUsableError, advice, cause
from amulet_local.system.text_files import DECODER_ERRORS, decoder_reason, read_text
from amulet_local.verifiers import Verifier

_MOST_BYTES = 32 * 1024 * 1024


class Question(msgspec.Struct, frozen=True):
    """One question. index: its own in the file, or else its place there from 0. verifiers: what has
    to hold of a reply, if programs can tell."""

    index: int
    question: str
    verifiers: tuple[Verifier, ...] = ()


class _Entry(msgspec.Struct, frozen=True):
    question: str
    index: int | None = None


def bundled_questions() -> list[Question]:
    """Forty everyday questions that come with Amulet."""
    text = resources.files(__package__).joinpath("questions.json").read_text("utf-8")
    return _parse(text)


def read_questions(path: Path) -> list[Question]:
    """The questions of a file, in its order.

    Raises NotUsableError where it cannot be read or holds none.
    """
    try:
        questions = _parse(read_text(path, _MOST_BYTES))
    except FileNotFoundError:
        raise NotUsableError(f"there is no file {path}; give one with --questions.") from None
    except OSError as error:
        remedy = advice(error, "give a readable file with --questions")
        raise NotUsableError(f"{path} cannot be read ({cause(error)}); {remedy}.") from None
    except DECODER_ERRORS as error:
        raise NotUsableError(
            f"{path} contains no usable questions ({decoder_reason(error)}); give a JSON list of "
            '{"index": 0, "question": "text"}, one such object per line, or plain lines.'
        ) from None
    return questions


def _parse(text: str) -> list[Question]:
    """Raises ValueError that says what is wrong."""
    begins = text.lstrip()[:1]
    if begins == "[":
        entries: Sequence[_Entry] = msgspec.json.decode(text, type=list[_Entry])
    elif begins == "{":
        entries = [_of_line(line, n) for n, line in _lines(text)]
    else:
        entries = [_Entry(line) for _, line in _lines(text)]
    questions = [
        Question(place if entry.index is None else entry.index, entry.question.strip())
        for place, entry in enumerate(entries)
    ]
    if not questions:
        raise ValueError("it is empty")
    seen: set[int] = set()
    for question in questions:
        if not question.question:
            raise ValueError(f"question {question.index} is empty")
        if question.index in seen:
            raise ValueError(f"index {question.index} appears twice")
        seen.add(question.index)
    return questions


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines that hold something, with their numbers from 1; a question may have other breaks."""
    numbered = enumerate(text.split("\n"), 1)
    return [(number, line.strip()) for number, line in numbered if line.strip()]


def _of_line(line: str, number: int) -> _Entry:
    try:
        return msgspec.json.decode(line, type=_Entry)
    except DECODER_ERRORS as error:
        raise ValueError(f"line {number}: {decoder_reason(error)}") from None
