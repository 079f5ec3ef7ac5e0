"""Whether a text follows an instruction, said by a program and not by a model.

Each kind of instruction is a struct with its arguments and a method `follows(text)`; the modules
have a family each. They are those of IFEval (Zhou et al., 2023, "Instruction-Following Evaluation
for Large Language Models", arXiv 2311.07911), by its names and arguments and with its outcomes,
written from its description; `benchmarks/verifier_agreement.py` compares them with Google's. Four
kinds that IFEval lacks are there for what `recognise` finds in the words of users.

    >>> one_bullet = verifier("detectable_format:number_bullet_lists", {"num_bullets": 1})
    >>> strict([one_bullet], "* the only one")
    True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import msgspec

from amulet_local.verifiers import answers
from amulet_local.verifiers.case import (
    Capital,
    CapitalWordFrequency,
    EnglishCapital,
    EnglishLowercase,
    Lowercase,
)
from amulet_local.verifiers.combination import RepeatPrompt, TwoResponses
from amulet_local.verifiers.content import NumberPlaceholders, Postscript
from amulet_local.verifiers.ends import EndChecker, Quotation
from amulet_local.verifiers.keywords import (
    ForbiddenWords,
    KeywordFrequency,
    KeywordsExist,
    LetterFrequency,
)
from amulet_local.verifiers.language import ResponseLanguage
from amulet_local.verifiers.layout import (
    Bullets,
    ConstrainedResponse,
    HighlightedSections,
    JsonFormat,
    MultipleSections,
    NumberBullets,
    Title,
)
from amulet_local.verifiers.length import (
    NthParagraphFirstWord,
    NumberParagraphs,
    NumberSentences,
    NumberWords,
    Paragraphs,
)
from amulet_local.verifiers.punctuation import NoComma

__all__ = ["Verifier", "loose", "strict", "verifier"]

Verifier = (
    Bullets
    | Capital
    | CapitalWordFrequency
    | ConstrainedResponse
    | EndChecker
    | EnglishCapital
    | EnglishLowercase
    | ForbiddenWords
    | HighlightedSections
    | JsonFormat
    | KeywordFrequency
    | KeywordsExist
    | LetterFrequency
    | Lowercase
    | MultipleSections
    | NoComma
    | NthParagraphFirstWord
    | NumberBullets
    | NumberParagraphs
    | NumberPlaceholders
    | NumberSentences
    | NumberWords
    | Paragraphs
    | Postscript
    | Quotation
    | RepeatPrompt
    | ResponseLanguage
    | Title
    | TwoResponses
    | answers.Number
    | answers.Word
    | answers.Copy
    | answers.Object
)
_KINDS = {each.__struct_config__.tag: each for each in get_args(Verifier)}


def verifier(kind: str, arguments: Mapping[str, object]) -> Verifier:
    """The verifier of a kind; arguments that are None do not count, as in IFEval's files.

    Raises ValueError, with one clause, for an unknown kind, and for arguments that it cannot use.
    """
    if kind not in _KINDS:
        raise ValueError(f'there is no kind of instruction "{kind}"')
    given = {name: _whole(value) for name, value in arguments.items() if value is not None}
    if "type" in given:
        raise ValueError(f'"{kind}" has no argument "type"')
    try:
        made: Verifier = msgspec.convert({"type": kind, **given}, _KINDS[kind])
    except msgspec.ValidationError as error:
        raise ValueError(f'the arguments of "{kind}" cannot be used: {error}') from None
    return made


def _whole(value: object) -> object:
    """A whole number as an integer: tables turn a column of them with gaps into 3.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def strict(verifiers: Sequence[Verifier], text: str) -> bool:
    """Whether a text follows all of them as it is; one without words or marks follows none."""
    return bool(text.strip()) and all(each.follows(text) for each in verifiers)


def loose(verifiers: Sequence[Verifier], text: str) -> bool:
    """Whether it follows each in one of eight forms.

    These are the text as it is, without its first line, without its last, and without both; and
    each of them without asterisks. So an introduction or emphasis does not spoil a reply.
    """
    forms = _forms(text)
    return bool(forms) and all(any(map(each.follows, forms)) for each in verifiers)


def _forms(text: str) -> list[str]:
    """The forms that are not blank, each once."""
    lines = text.split("\n")
    cut = [lines[1:], lines[:-1], lines[1:-1]]
    whole = [text, *("\n".join(kept).strip() for kept in cut)]
    forms = [*whole, *(form.replace("*", "") for form in whole)]
    return [form for form in dict.fromkeys(forms) if form.strip()]
