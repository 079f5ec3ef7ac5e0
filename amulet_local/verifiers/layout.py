"""The form of a text: bullets, highlights, sections, a title, JSON, one of three answers."""

from __future__ import annotations

import json
import re

from amulet_local.verifiers.kind import Count, Kind, Relation, Words, holds

# A line with one asterisk, and something behind it that may be the next line; or with a hyphen.
_STAR = re.compile(r"^[^\S\n]*\*[^*].*", re.MULTILINE)
_HYPHEN = re.compile(r"^[^\S\n]*-", re.MULTILINE)

_EMPHASIS = re.compile(r"\*([^*\n]*)\*")
_STRONG = re.compile(r"\*\*([^*\n]*)\*\*")
_FENCE = re.compile(r"```(?:json|Json|JSON)?")
_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


class NumberBullets(Kind, frozen=True, tag="detectable_format:number_bullet_lists"):
    """Exactly so many bullets: lines that begin with an asterisk or a hyphen."""

    num_bullets: Count

    def follows(self, text: str) -> bool:
        """Whether there are exactly as many."""
        return _bullets(text) == self.num_bullets


class Bullets(Kind, frozen=True, tag="detectable_format:bullets"):
    """So many bullets, fewer or at least; not in IFEval."""

    num_bullets: Count
    relation: Relation

    def follows(self, text: str) -> bool:
        """Whether there are as many bullets as that."""
        return holds(_bullets(text), self.relation, self.num_bullets)


class HighlightedSections(Kind, frozen=True, tag="detectable_format:number_highlighted_sections"):
    """At least so many highlights, *such as this* or **such as this**."""

    num_highlights: Count

    def follows(self, text: str) -> bool:
        """Whether there are at least as many; words in three asterisks count as both kinds."""
        highlights = [*_EMPHASIS.findall(text), *_STRONG.findall(text)]
        return sum(1 for inside in highlights if inside.strip()) >= self.num_highlights


class MultipleSections(Kind, frozen=True, tag="detectable_format:multiple_sections"):
    """At least so many sections, each with a mark and a number: SECTION 1."""

    section_spliter: Words
    num_sections: Count

    def follows(self, text: str) -> bool:
        """Whether there are at least as many marks with a number behind them."""
        marks = re.finditer(re.escape(self.section_spliter.strip()) + r"\s?\d+", text)
        return sum(1 for _ in marks) >= self.num_sections


class JsonFormat(Kind, frozen=True, tag="detectable_format:json_format"):
    """JSON and nothing else, but for the fence of a Markdown block around it."""

    def follows(self, text: str) -> bool:
        """Whether Python's json reads it."""
        text = text.strip()
        fence = _FENCE.match(text)
        inside = text[fence.end() :] if fence else text
        try:
            json.loads(inside.removesuffix("```").strip())
        except (ValueError, RecursionError):
            return False
        return True


class Title(Kind, frozen=True, tag="detectable_format:title"):
    """A title in double angle brackets: <<title>>."""

    def follows(self, text: str) -> bool:
        """Whether some line has both pairs of brackets with something in them."""
        return any(map(_has_title, text.split("\n")))


class ConstrainedResponse(Kind, frozen=True, tag="detectable_format:constrained_response"):
    """One of three answers, word for word: My answer is yes. (Or no, or maybe.)"""

    def follows(self, text: str) -> bool:
        """Whether one of them stands somewhere in the text."""
        return any(answer in text for answer in _ANSWERS)


def _bullets(text: str) -> int:
    return sum(1 for mark in (_STAR, _HYPHEN) for _ in mark.finditer(text))


def _has_title(line: str) -> bool:
    start, end = line.find("<<"), line.rfind(">>")
    return start >= 0 and end >= start + 3 and bool(line[start:end].lstrip("<").rstrip(">").strip())
