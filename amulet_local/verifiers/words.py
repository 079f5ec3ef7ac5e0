"""What a verifier asks for, in a few words, to stand beside a mark for whether a text does it."""

from __future__ import annotations

from collections.abc import Iterable

from amulet_local.verifiers import Verifier
from amulet_local.verifiers.case import Capital, Lowercase
from amulet_local.verifiers.content import Postscript
from amulet_local.verifiers.ends import EndChecker, Quotation
from amulet_local.verifiers.keywords import ForbiddenWords, KeywordFrequency, KeywordsExist
from amulet_local.verifiers.kind import Relation
from amulet_local.verifiers.language import ResponseLanguage
from amulet_local.verifiers.layout import Bullets, JsonFormat, NumberBullets, Title
from amulet_local.verifiers.length import NumberSentences, NumberWords, Paragraphs
from amulet_local.verifiers.phrases import LANGUAGES
from amulet_local.verifiers.punctuation import NoComma

_NAMES = {code: name.capitalize() for name, code in LANGUAGES.items()}
_PLAIN = {
    Capital: "in capitals",
    JsonFormat: "JSON",
    Lowercase: "in lower case",
    NoComma: "no commas",
    Quotation: "in quotation marks",
    Title: "a title",
}


def in_words(verifier: Verifier) -> str:
    """What it asks for; of kinds that are never recognised in a user's words, the name."""
    match verifier:
        case NumberWords(num_words=number, relation=relation):
            return _amount(number, relation, "word")
        case NumberSentences(num_sentences=number, relation=relation):
            return _amount(number, relation, "sentence")
        case Paragraphs(num_paragraphs=number, relation=relation):
            return _amount(number, relation, "paragraph")
        case Bullets(num_bullets=number, relation=relation):
            return _amount(number, relation, "bullet")
        case NumberBullets(num_bullets=number):
            return f"exactly {_counted(number, 'bullet')}"
        case KeywordsExist(keywords=words):
            return f"with {_quoted(words)}"
        case ForbiddenWords(forbidden_words=words):
            return f"without {_quoted(words)}"
        case KeywordFrequency(keyword=word, frequency=number, relation=relation):
            return f"{_quoted([word])} {_amount(number, relation, 'time')}"
        case EndChecker(end_phrase=phrase):
            return f"ends with {_quoted([phrase])}"
        case ResponseLanguage(language=code):
            return f"in {_NAMES.get(code, code)}"
        case Postscript(postscript_marker=marker):
            return f"a {marker}"
    return _PLAIN.get(type(verifier)) or verifier.kind.partition(":")[2].replace("_", " ")


def _amount(number: int, relation: Relation, unit: str) -> str:
    if relation == "at least":
        return f"at least {_counted(number, unit)}"
    return f"at most {_counted(number - 1, unit)}" if number > 1 else f"no {unit}s"


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"“{word}”" for word in words)
