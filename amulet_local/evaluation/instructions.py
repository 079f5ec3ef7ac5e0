"""Questions whose replies a program can check: those with an instruction, and those with an answer.

A path goes in, pairs of a question and a preference come out. Every line of a file is an object in
the form that Stolfo et al. (ICLR 2025, arXiv 2410.12877) gave to IFEval (arXiv 2311.07911):

    {"question": "...", "question_with_instruction": "...",
     "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}

The base reads the question, pref the question with its instruction in its place. Where a line has
"preference" instead, in words, pref reads it as any other preference; where it has neither, the
verifiers are about the question itself, and any preference can stand beside it. A line that also
has "each", the question with one instruction after the other, is a mix: a stream for each where it
is realigned, and all of them in one prompt where it is only prompted for. "signs" beside it, 1 or
-1 for each of them, says which are led away from, as strongly as the others are led towards.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from amulet_local.errors import NotUsableError, advice, cause
from amulet_local.evaluation.plan import Preference
from amulet_local.evaluation.questions import Question
from amulet_local.path_text import as_text
from amulet_local.presets.preset import USUAL_STRENGTH
from amulet_local.protocol.alignment import MOST_FADERS, USUAL_GUARD
from amulet_local.system.text_files import DECODER_ERRORS, decoder_reason, read_text
from amulet_local.verifiers import Verifier, verifier

_MOST_BYTES = 32 * 1024 * 1024
_MOST_VERIFIERS = 32

Pair = tuple[Question, Preference]


class _Line(msgspec.Struct, frozen=True):
    question: str
    question_with_instruction: str = ""
    preference: str = ""
    instruction_id_list: tuple[str, ...] = ()
    kwargs: tuple[dict[str, object], ...] = ()
    each: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_FADERS)] = ()
    signs: tuple[Literal[1, -1], ...] = ()


def read_instructions(
    path: Path, strength: float = USUAL_STRENGTH, guard: float = USUAL_GUARD
) -> list[Pair]:
    """The questions of a file with their instructions, in its order; the preference is named as the
    file. strength, guard: of the preferences. Raises NotUsableError."""
    try:
        lines = _parse(read_text(path, _MOST_BYTES))
        pairs = [_pair(line, as_text(path.stem), strength, guard) for line in lines]
        _require_different(pairs)
    except FileNotFoundError:
        raise NotUsableError(f"there is no file {path}; give one with --instructions.") from None
    except OSError as error:
        remedy = advice(error, "give a readable file with --instructions")
        raise NotUsableError(f"{path} cannot be read ({cause(error)}); {remedy}.") from None
    except DECODER_ERRORS as error:
        raise NotUsableError(
            f"{path} contains no usable instructions ({decoder_reason(error)}); give one JSON "
            'object per line with "question", "question_with_instruction", "instruction_id_list" '
            'and "kwargs".'
        ) from None
    return pairs


def ability_questions() -> list[Question]:
    """Questions with one right answer each, which come with Amulet."""
    text = resources.files(__package__).joinpath("ability.jsonl").read_text("utf-8")
    return [_question(line) for line in _parse(text)]


def _parse(text: str) -> list[_Line]:
    """Raises ValueError that says what is wrong."""
    lines = []
    for number, line in enumerate(text.split("\n"), 1):  # other breaks may stand in a JSON string
        if line.strip():
            try:
                lines.append(_checked(msgspec.json.decode(line, type=_Line)))
            except DECODER_ERRORS as error:
                raise ValueError(f"line {number}: {decoder_reason(error)}") from None
    if not lines:
        raise ValueError("it is empty")
    return lines


def _checked(line: _Line) -> _Line:
    if not line.question.strip():
        raise ValueError("the question is empty")
    if not 0 < len(line.instruction_id_list) <= _MOST_VERIFIERS:
        raise ValueError(f"instruction_id_list must have 1 to {_MOST_VERIFIERS} entries")
    if len(line.kwargs) != len(line.instruction_id_list):
        raise ValueError("kwargs must have an entry for each of instruction_id_list")
    return line


def _pair(line: _Line, name: str, strength: float, guard: float) -> Pair:
    words = line.question_with_instruction.strip()
    instead = bool(words)
    if not instead:
        words = line.preference.strip()
    if not words:
        raise ValueError(f"the question {line.question[:60]!r} has no instruction")
    if line.each and not (instead and all(map(str.strip, line.each))):
        raise ValueError('"each" needs "question_with_instruction" beside it, and text')
    if line.signs and len(line.signs) != len(line.each):
        raise ValueError('"signs" must have a sign for each of "each"')
    each = tuple(map(str.strip, line.each))
    preference = Preference(
        name, words, strength, guard, instead=instead, each=each, signs=line.signs
    )
    return _question(line), preference


def _question(line: _Line) -> Question:
    """Its index is made of what it says, so that files can be joined and shortened."""
    signs = [",".join(map(str, line.signs))] if line.signs else []
    words = (line.question, line.question_with_instruction, line.preference, *signs)
    return Question(
        zlib.crc32("\0".join(words).encode("utf-8", "replace")),
        line.question.strip(),
        tuple(_verifiers(line)),
    )


def _verifiers(line: _Line) -> Sequence[Verifier]:
    return [
        verifier(kind, arguments)
        for kind, arguments in zip(line.instruction_id_list, line.kwargs, strict=True)
    ]


def _require_different(pairs: Sequence[Pair]) -> None:
    seen: set[int] = set()
    for question, _ in pairs:
        if question.index in seen:
            raise ValueError(f"the question {question.question[:60]!r} appears twice")
        seen.add(question.index)
