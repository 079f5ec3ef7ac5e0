"""How many words and sentences a text has, by rules that need no trained model.

A sentence ends with . ? or ! before a space or a closing mark, and with the full stops of Chinese,
Japanese and Hindi anywhere. Line ends alone do not end it, and what has no letter or digit is none.
The full stop of an abbreviation or of an initial ends one only before a word that mostly begins
sentences; that of a number does not before a small letter, an ellipsis only before a capital one.
"""

from __future__ import annotations

import re
from unicodedata import category

_WORD = re.compile(r"\w+")
_MARKS = re.compile(r"[.?!]+|[。！？।]+")
_BEHIND = re.compile(r"[\s\]\"'”’»)}({\[*:;@]|\Z")  # what a mark must have behind it
_NEXT = re.compile(r"\s*([^\W_]*)")
_LONGEST = 24  # characters looked at before a full stop; no abbreviation is longer

# Words as they are, without regard to case; a line each would be long to read.
ABBREVIATIONS = frozenset(
    re.findall(
        r"\w+",
        "mr mrs ms dr prof st mt sr jr gen col capt lt sgt maj rev hon sen rep messrs vs cf eg ie "
        "al inc ltd co corp bros jan feb aug sep sept oct nov dec ave blvd ft",
    )
)
_STARTERS = frozenset(
    re.findall(
        r"\w+",
        "the a an i he she it we they you this that these those there here in on at but and so if "
        "when while after before what who how why where my his her its our your their for as with "
        "no please then now",
    )
)
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]{1,2}|ph\.d")


def word_count(text: str) -> int:
    """Runs of letters, digits and underscores: "it's" is two. Accents belong to them."""
    if not text.isascii():  # what combines or joins letters is none to re
        text = "".join("_" if _joins(sign) else sign for sign in text)
    return sum(1 for _ in _WORD.finditer(text))


def _joins(sign: str) -> bool:
    return category(sign).startswith("M") or sign in "\u200c\u200d"


def sentences(text: str) -> list[str]:
    """The sentences of a text, with the marks and the space that stand around them."""
    pieces, start = [], 0
    for end in _MARKS.finditer(text):
        if _ends(text, end):
            pieces.append(text[start : end.end()])
            start = end.end()
    return [piece for piece in (*pieces, text[start:]) if any(map(str.isalnum, piece))]


def _ends(text: str, end: re.Match[str]) -> bool:
    """Whether a mark really ends a sentence."""
    mark = end.group()
    if mark[0] in "。！？।":
        return True
    if not _BEHIND.match(text, end.end()):
        return False
    if mark.strip("."):
        return True  # some other mark than full stops
    following = _NEXT.match(text, end.end())
    word = following.group(1)[:_LONGEST] if following else ""
    if len(mark) > 1:
        return len(mark) > 2 and text[end.end() : end.end() + 1].isspace() and word[:1].isupper()
    before = re.split(r"\s", text[max(0, end.start() - _LONGEST) : end.start()])
    last = before[-1].lower().lstrip("\"'“‘(*_[")
    if last.isdecimal():
        return not word[:1].islower()
    last = last.rpartition("-")[2]
    if last in ABBREVIATIONS or _DOTTED.fullmatch(last) or (len(last) == 1 and last.isalpha()):
        return word[:1].isupper() and word.lower() in _STARTERS
    return True
