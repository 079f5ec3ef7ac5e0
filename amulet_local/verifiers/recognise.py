"""What a user wishes in plain English, as verifiers, where there is no doubt what would follow it.

A mark for "followed" that is wrong is worse than none. So the words are cut into clauses, and each
of them, from its first letter to its last, must be one of `phrases`; one that is not, a question or
a stray quotation mark, and nothing is recognised at all. Quoted phrases are taken out before the
rest is read, so that what is to be said is never taken for a wish.
"""

from __future__ import annotations

import re
from collections import Counter

from amulet_local.verifiers import Verifier
from amulet_local.verifiers.keywords import ForbiddenWords
from amulet_local.verifiers.phrases import (
    ANY_REPLY,
    FIRST_SIGN,
    NOT,
    NUMBER,
    SIGN,
    meant,
)

_LONGEST = 500  # characters; longer words are no wish of this kind
_MOST_QUOTED = 50

_QUOTES = re.compile(
    r"\"([^\"]*)\"|“([^“”]*)”|„([^„“”]*)[“”]|«([^«»]*)»|`([^`]*)`"
    r"|‘([^‘’]*)’(?!\w)|(?<!\w)'([^']*)'(?!\w)"
)
_UNREADABLE = re.compile(r"[\ue000-\uf8ff\0]")
_STRAY = re.compile(r"[\"“”„«»‘`?]")
_SEVERAL = re.compile(rf"{SIGN}(?:(?:,|,? (?:and|or|&)) {SIGN})+")
_JOINTS = re.compile(r"(\s*(?:[;.!]+(?:\s+|\Z)|\n\s*|,\s*)(?:(?:and|but)\s+)?|\s+(?:and|but|&)\s+)")
_POLITE = re.compile(r"^[-*•\s]+|\s*\b(?:please|thanks|thank you)\Z")
_NOT = re.compile(rf"(?:please )?(?:{NOT}|avoid|omit|exclude|leave out|skip|refrain)\b")
_WITHOUT = re.compile(r"(?:please )?(?:use |have |contain |with )?(?:no|without)\b")
_NEGATIVE = re.compile(
    r"\b(?:no|not|never|without|zero|avoid|omit|exclude|leave|skip|refrain|stay away|cannot"
    r"|forbidden|banned|\w+n't)\b"
)
_OTHER_THING = re.compile(r"(?:in|under|over|at most|at least|no|without|exactly|between) ")

# What adds nothing to a wish of these kinds, and means nothing without one; "" where any will do.
_BESIDE = {
    rf"(?:also )?in {ANY_REPLY}": "",
    r"(?:and )?no other languages?(?: (?:is|are) (?:allowed|permitted))?": "language",
    r"no other words should follow(?: (?:this|that|the))?(?: phrase| question)?": "startend",
}


def recognised(words: str) -> tuple[Verifier, ...]:
    """A verifier for everything that these words wish; none unless all of it is recognised.

    Languages are recognised only where langdetect is installed, as nothing else could check them.
    """
    if len(words) > _LONGEST or _UNREADABLE.search(words):
        return ()
    text, quoted = _without_quotes(words)
    if _STRAY.search(text) or not all(map(_says, quoted)) or len(quoted) > _MOST_QUOTED:
        return ()
    found: list[Verifier] = []
    stressed: list[str] = []
    for clause in _clauses(_plainly(text)):
        beside = _beside(clause)
        verifiers = meant(clause, quoted) if beside is None else []
        if beside is not None:
            stressed.append(beside)
        elif not verifiers:
            return ()
        found += verifiers
    if not all(any(each.kind.startswith(kind) for each in found) for kind in stressed):
        return ()
    return () if _contradict(found) else tuple(found)


def avoided_words(words: str) -> tuple[str, ...]:
    """The words that these words ask to leave out; none unless all of it is recognised."""
    return tuple(
        word
        for each in recognised(words)
        if isinstance(each, ForbiddenWords)
        for word in each.forbidden_words
    )


def _without_quotes(words: str) -> tuple[str, list[str]]:
    """The words with a sign in the place of each quoted phrase, and these phrases."""
    quoted: list[str] = []

    def sign(found: re.Match[str]) -> str:
        quoted.append("".join(filter(None, found.groups())).strip())
        return chr(FIRST_SIGN + min(len(quoted), _MOST_QUOTED) - 1)

    return _QUOTES.sub(sign, words), quoted


def _says(phrase: str) -> bool:
    return any(map(str.isalnum, phrase))


def _plainly(text: str) -> str:
    """Small letters, single spaces, and one way to write what can be written in several."""
    text = re.sub(r"[^\S\n]+", " ", text.strip().lower().replace("’", "'"))
    text = re.sub(r"\bp\. ?s\.", "p_s_", text).replace("nothing but ", "only ")
    text = text.replace("json and nothing else", "json only")
    text = text.replace("json object and nothing else", "json object only")
    text = re.sub(r"\b(max|min)\. (?=\d|of )", r"\1 ", text)
    text = re.sub(r",? (?:i\.e\.|e\.g\.|such as|like|for example),?:? <<[^<>\n]*>>", "", text)
    text = re.sub(r"\btitle, (?=wrapped|enclosed|contained|written)", "title ", text)
    text = re.sub(rf"\[ ?({SIGN}(?:, ?{SIGN})*) ?\]", r"\1", text)
    text = re.sub(r"\A(?:, ?)?and ", "", text)
    text = re.sub(
        r"\Aat the end of (?:your|the) (?:reply|response|answer), (?:please )?(?=\w* ?add )",
        "",
        text,
    )
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(rf"\bbetween {NUMBER} and {NUMBER}\b", r"\1 to \2", text)
    text = re.sub(r"\b(\d+) ?[-–] ?(\d+)\b", r"\1 to \2", text)
    return _SEVERAL.sub(_run, text)


def _run(several: re.Match[str]) -> str:
    """Quoted phrases in a row: with "or" between them, they can only be left out."""
    between = "|" if " or " in several.group() else ""
    return between.join(re.findall(SIGN, several.group()))


def _beside(clause: str) -> str | None:
    """The family of wishes that a clause only stresses, "" for any; None where it is a wish."""
    return next((kind for said, kind in _BESIDE.items() if re.fullmatch(said, clause)), None)


def _clauses(text: str) -> list[str]:
    """The wishes one by one; an empty one, which means nothing, where it is unclear how they join.

    "No commas and a title" may want a title or none; with a comma or "but" between, it wants one.
    """
    parts = _JOINTS.split(text)
    clauses = []
    for i in range(0, len(parts), 2):
        clause, joint = _POLITE.sub("", parts[i]), parts[i - 1].strip() if i else ""
        unclear = joint in {"and", "&"} and not _joins(parts[i - 2], clause)
        if unclear or clause or not i:
            clauses.append("" if unclear else clause)
    return clauses


def _joins(before: str, clause: str) -> bool:
    """Whether "and" between them can only mean two wishes."""
    if not _NEGATIVE.search(before):
        return True
    if _WITHOUT.match(before) and _OTHER_THING.match(clause):
        return True
    return bool(_NOT.match(clause))


def _contradict(found: list[Verifier]) -> bool:
    """Whether they want two languages or two cases: then at least one was not meant so."""
    asked = Counter(each.kind.partition(":")[0] for each in found)
    return asked["language"] > 1 or len({each for each in found if "case" in each.kind}) > 1
