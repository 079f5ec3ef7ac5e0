r"""Right answers: whether a reply gives the number, word, text or object that was asked for.

A reply may be as polite and as wordy as it likes; only its answer counts.

**Number.** A reply that names several numbers answers by the first of these that it has:

1. the last `\boxed{…}` that holds a number;
2. what follows the last "answer is", "answer:", "result is" and the like, up to the end of that
   sentence: the number that comes at once, or else the last one;
3. a number that begins the reply and is a sentence or a line of its own;
4. the last number set in bold, alone or with a unit;
5. the last number of the reply.

Digits come before words: "twelve" is read only where no digits stand. A number behind "not" or
"instead of", an ordinal, and the numbers of a list or of steps are no answers.

**Word.** One of the accepted spellings occurs as a whole word, not behind "not"; in the sentence of
rule 2 if there is one, and otherwise anywhere.

**Copy.** The text occurs, letter by letter, as a whole.

**Object.** The last JSON object of the reply, fenced, among words, or alone, has the keys that were
asked for and no others. Numbers are compared by value, strings without regard to case and to the
space around them.

Replies come from a model: whatever they hold, they are judged in time linear in their length, and
nothing is raised.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from typing import Annotated, NoReturn

import msgspec

from amulet_local.verifiers.kind import Kind

_ONES = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SIZES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_WORDS = (
    {word: float(n) for n, word in enumerate(_ONES.split())}
    | {word: 10.0 * n for n, word in enumerate(_TENS.split(), 2)}
    | {"twice": 2.0, "thrice": 3.0}  # not "once", which is seldom a number
    | _SIZES
)
_WORD = f"(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})"

# Possessive quantifiers keep "12" whole: without them "12th" would be read as 1.
_DIGITS = re.compile(
    r"(?<![A-Za-z\d])"
    r"(?P<sign>(?<![^\s(\[{=:*$\"'])[-−])?[$€£]?(?<!\d)"
    r"(?P<whole>(?>\d{1,3}(?:[,\u00a0\u202f]\d{3})+(?!\d)|\d++))"
    r"(?P<decimals>(?>\.\d++)?)"
    r"(?>/(?P<below>\d++))?"
    r"(?!(?:st|nd|rd|th)\b)"
    rf"(?:\s(?P<size>{'|'.join(_SIZES)})\b)?",
    re.IGNORECASE,
)
_IN_WORDS = re.compile(
    rf"(?<![^\W_])(?P<sign>(?:minus|negative)\s)?(?P<words>{_WORD}(?:[\s-]+(?:and\s+)?{_WORD})*+)"
    r"(?![^\W_])",
    re.IGNORECASE,
)
_MOST_DIGITS = 30  # more are no number that anyone asked for

_BOXED = re.compile(r"\\boxed\{([^{}]{0,200})")
_ANSWER_IS = re.compile(
    r"\b(?:answer|result)\b(?:['\"*_\s]{0,8}|\s(?:to|of|for)\b[^.!?\n]{0,100}?)"
    r"(?::|=|\bis\b(?!\s+not\b)|\b(?:will|would|should)\s+be\b)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[\s:*_`\"'$\\(\[]*+(?P<said>(?:[^.!?\n]|[.!?](?=[^\s*\"]))*+)")
_BARE_START = re.compile(
    r"[\s*_`\"'$#€£\\(\[{-]*+[\d,.]*\d[%°*_`\"'$\\)\]}]*+(?:[.!](?=\s|$)|\n|$)"
)
_BOLD = re.compile(r"\*\*([^*\n]{1,60})\*\*")
_BOLD_UNITS = 3  # words beside the number; more are a heading
_STEP = re.compile(r"\b(?:step|example|question)\s+\d+", re.IGNORECASE)
_LISTED = re.compile(r"^[ \t>*#]*(?P<place>\d{1,3})[.)](?=\s)", re.MULTILINE)
_NEGATED = re.compile(r"(?:\bnot|n['’]t|\binstead of|\brather than)\s+(?:the\s|an?\s)?\W*\Z", re.I)
_LOOK_BACK = 24  # characters in which a "not" is looked for

_MARKUP = str.maketrans("", "", "*_`$\\{}")

_MOST_OBJECTS = 64  # where an object may begin; a reply with more braces is not one answer

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
_Spelling = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_Value = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
_Scalar = str | int | float | bool | None


class Number(Kind, frozen=True, tag="answer:number"):
    """The reply's final answer is a number. value: within 1e15 of 0."""

    value: _Value

    def follows(self, text: str) -> bool:
        """Whether the reply answers with this number, in digits or in words."""
        found = _final_number(text)
        return found is not None and math.isclose(found, self.value, rel_tol=1e-9, abs_tol=1e-9)


class Word(Kind, frozen=True, tag="answer:word"):
    """The reply names a word, or a few. accepted: its spellings, in any case and accents."""

    accepted: Annotated[tuple[_Spelling, ...], msgspec.Meta(min_length=1, max_length=32)]

    def follows(self, text: str) -> bool:
        """Whether the reply answers with one of the spellings."""
        spellings = "|".join(re.escape(_plain(each)) for each in self.accepted)
        wanted = re.compile(rf"(?<!\w)(?:{spellings})(?!\w)")
        said = _plain(_said(text) or text)
        return any(not _negated(said, match.start()) for match in wanted.finditer(said))


class Copy(Kind, frozen=True, tag="answer:copy"):
    """The reply repeats a text. text: as it must stand there; space around it does not matter."""

    text: _Text

    def follows(self, text: str) -> bool:
        """Whether the text occurs in the reply letter by letter, and not inside longer words."""
        wanted = self.text.replace("\r\n", "\n").strip()
        before = r"(?<![^\W_])" if wanted[:1].isalnum() else ""
        after = r"(?![^\W_])" if wanted[-1:].isalnum() else ""
        whole = re.compile(before + re.escape(wanted) + after)
        return whole.search(text.replace("\r\n", "\n")) is not None


class Object(Kind, frozen=True, tag="answer:json"):
    """The reply gives a JSON object. value: its keys, with scalars or lists of them."""

    value: Annotated[
        dict[_Key, _Scalar | Annotated[list[_Scalar], msgspec.Meta(max_length=32)]],
        msgspec.Meta(min_length=1, max_length=32),
    ]

    def follows(self, text: str) -> bool:
        """Whether the reply's last object has these keys, with these values."""
        last = deque(_objects(text), maxlen=1)
        return bool(last) and _equal(self.value, last[0])


Answer = Number | Word | Copy | Object


def _final_number(text: str) -> float | None:
    """The number that a reply answers with, by the rules above; None where there is none."""
    text = _without_places(text.replace("{,}", ","))
    for boxed in reversed(_BOXED.findall(text)):
        if found := _numbers(boxed):
            return found[-1][1]
    said = _said(text)
    if said is not None and (found := _numbers(said)):
        at_once = not re.search("[^\\W_]", said[: found[0][0]]) and "=" not in said
        return found[0 if at_once else -1][1]
    if (start := _BARE_START.match(text)) and (found := _numbers(start[0])):
        return found[-1][1]
    for bold in reversed(_BOLD.findall(text)):
        if len(bold.split()) <= 1 + _BOLD_UNITS and len(found := _numbers(bold)) == 1:
            return found[0][1]
    found = _numbers(text)
    return found[-1][1] if found else None


def _without_places(text: str) -> str:
    """The reply without "Step 2" and without the numbers of a list from 1 on."""
    text = _STEP.sub("", text)
    places: list[re.Match[str]] = []
    for match in _LISTED.finditer(text):
        if int(match["place"]) == len(places) + 1:
            places.append(match)
    if len(places) < 2:
        return text
    pieces, end = [], 0
    for match in places:
        pieces.append(text[end : match.start("place")])
        end = match.end()
    return "".join([*pieces, text[end:]])


def _said(text: str) -> str | None:
    """The rest of the sentence behind the last "answer is"; None where nothing says so."""
    last = deque(_ANSWER_IS.finditer(text), maxlen=1)
    sentence = _SENTENCE.match(text, last[0].end()) if last else None
    return (sentence["said"] or None) if sentence else None


def _numbers(text: str) -> list[tuple[int, float]]:
    """Where numbers begin and what they are: those in digits, or, where none are, in words."""
    found = [(each.start(), _of_digits(each)) for each in _DIGITS.finditer(text)]
    found = found or [(each.start(), _of_words(each)) for each in _IN_WORDS.finditer(text)]
    return [(start, value) for start, value in found if not _negated(text, start)]


def _of_digits(match: re.Match[str]) -> float:
    """The value; NaN, which equals nothing, for what is too long or a sum left to do."""
    if len(match[0]) > _MOST_DIGITS:
        return math.nan
    value = float(re.sub(r"[^\d]", "", match["whole"]) + match["decimals"])
    if match["below"]:
        below = int(match["below"])
        if match["decimals"] or below < 2 or math.gcd(int(value), below) > 1:
            return math.nan
        value /= below
    value *= _SIZES.get((match["size"] or "").lower(), 1.0)
    return -value if match["sign"] else value


def _of_words(match: re.Match[str]) -> float:
    """The value of number words, such as "two hundred and five"."""
    total = current = 0.0
    for word in re.findall(r"[a-z]+", match["words"].lower()):
        value = _WORDS.get(word)
        if value is None:
            continue  # and
        if value >= 1e3:
            total, current = total + (current or 1.0) * value, 0.0
        elif value == 1e2:
            current = (current or 1.0) * value
        elif current % 100 == 0 or (current % 10 == 0 and current % 100 >= 20 and value < 10):
            current += value
        else:
            total, current = 0.0, value  # another number: "two three"
    return -(total + current) if match["sign"] else total + current


def _negated(text: str, start: int) -> bool:
    return _NEGATED.search(text[max(0, start - _LOOK_BACK) : start]) is not None


def _plain(text: str) -> str:
    """Without case, accents, markup and forms of the same letter, so that H₂O is h2o."""
    text = text.translate(_MARKUP).replace("’", "'")
    # Letter by letter, since a thousand accents on one letter take normalize a million steps.
    parts = (part for each in text for part in unicodedata.normalize("NFKD", each))
    return "".join(part for part in parts if not unicodedata.combining(part)).casefold()


def _objects(text: str) -> Iterator[dict[str, object]]:
    """The outermost JSON objects of a text, in order."""
    start, tries = text.find("{"), 0
    while start >= 0 and tries < _MOST_OBJECTS:
        tries += 1
        try:
            found, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield found
        start = text.find("{", end)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _equal(wanted: object, given: object) -> bool:
    """Whether these are the same: numbers by value, strings up to case and the space around."""
    match wanted, given:
        case dict(), dict():
            return wanted.keys() == given.keys() and all(
                _equal(value, given[key]) for key, value in wanted.items()
            )
        case list(), list():
            return len(wanted) == len(given) and all(map(_equal, wanted, given))
        case str(), str():
            return wanted.strip().casefold() == given.strip().casefold()
        case (bool(), _) | (_, bool()):
            return wanted is given
        case (int() | float(), int() | float()):
            return wanted == given
    return wanted is None and given is None
