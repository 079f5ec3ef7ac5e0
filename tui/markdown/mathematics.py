"""Mathematics in Markdown: LaTeX between its marks is a token of its own, as it was written.

The marks are those that models use; an amount of money is prose. Rules for markdown-it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field

from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

from tui.markdown.block_lines import is_outdented, span

_OPENS_MATH = re.compile(r"\$\$|\\\[|\\\(|\\begin\{([A-Za-z]{1,30}\*?)\}")
_CLOSES_MATH = re.compile(r"\$\$|\\\]|\\\)|\\end\{[A-Za-z]{1,30}\*?\}")
_STOPS_DOLLAR = re.compile(r"`|(?<![\s\\$])\$(?![\d$])")  # code, or what can end $…$
_AMOUNT = re.compile(r"\$[\d.,]+\w?\s+[A-Za-z]{2}")  # of money, and prose that goes on
_AFTER_MATH = " \t.,;:!?)"


def math_block_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""Mathematics on lines of its own: from `\[`, `$$` or `\begin{x}` to what closes it.

    LaTeX allows no blank line in it, so one ends it, closed or not. Its lines are never lists,
    headings or rules, whatever they begin with.
    """
    if state.is_code_block(start):
        return False
    begin, stop = span(state, start)
    opening = _OPENS_MATH.match(state.src, begin, stop)
    if not opening or opening[0] == "\\(":
        return False
    closing = _closing(opening)
    at, after = opening.end(), start
    while after < end and not (
        after > start and (state.isEmpty(after) or is_outdented(state, after))
    ):
        found = state.src.find(closing, at, state.eMarks[after])
        after += 1
        if found >= 0:
            rest = state.src[found + len(closing) : state.eMarks[after - 1]]
            if after == start + 1 and rest.strip(_AFTER_MATH):
                return False  # mathematics in a line of prose
            break
        if after < end:
            at = state.bMarks[after]
    if not silent:
        state.line = after
        token = state.push("math_block", "math", 0)
        token.content = state.getLines(start, after, state.blkIndent, False).rstrip()
        token.map = [start, after]
    return True


def math_inline_rule(state: StateInline, silent: bool) -> bool:
    """Mathematics in a line, so that nothing in it is read as Markdown."""
    if state.src[state.pos] not in "\\$":
        return False
    end, kind = _end_of_math(state)
    if end <= state.pos:
        return False
    if not silent:
        state.push(kind, "", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


def _end_of_math(state: StateInline) -> tuple[int, str]:
    """Where the mathematics that begins here ends, or dollars that are none; 0 if neither does."""
    source, start = state.src, state.pos
    dollars = re.compile(r"\$*").match(source, start, state.posMax)
    run = len(dollars[0]) if dollars else 0
    if run > 2:
        return start + run, "text"
    ends = _Ends.of(state)
    if run == 1:
        end = ends.dollar(source, start)
        return (end if end <= state.posMax else 0), "math_inline"
    opening = _OPENS_MATH.match(source, start, state.posMax)
    if not opening:
        return 0, ""
    closing = _closing(opening)
    if ends.last.get(closing, -1) < opening.end():
        return 0, ""
    found = source.find(closing, opening.end(), state.posMax)
    return (found + len(closing) if found > opening.end() else 0), "math_inline"


@dataclass
class _Ends:
    """What can end mathematics in a text, found once, so that openings without an end cost little.

    last: closing mark -> where it stands last. stops: places, in order, that end the search for the
    second dollar.
    """

    last: dict[str, int] = field(default_factory=dict)
    stops: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, state: StateInline) -> _Ends:
        """Those of the text at hand."""
        known: dict[str, _Ends] = state.env.setdefault("ends", {})  # an image's text is another
        if state.src not in known:
            last = {match[0]: match.start() for match in _CLOSES_MATH.finditer(state.src)}
            stops = [match.start() for match in _STOPS_DOLLAR.finditer(state.src)]
            known[state.src] = cls(last, stops)
        return known[state.src]

    def dollar(self, source: str, start: int) -> int:
        """Where $…$ ends that begins here; 0 where the dollar is one of money.

        As in Pandoc: no space after the first nor before the second, no digit after the second.
        """
        following = source[start + 1 : start + 2]
        if not following or following.isspace() or (start and source[start - 1].isalnum()):
            return 0
        if _AMOUNT.match(source, start):
            return 0
        at = bisect_left(self.stops, start + 2)
        if at == len(self.stops) or source[self.stops[at]] != "$":
            return 0
        return self.stops[at] + 1


def _closing(opening: re.Match[str]) -> str:
    r"""What closes mathematics that was opened by one of _OPENS_MATH."""
    if opening[1]:
        return f"\\end{{{opening[1]}}}"
    return {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}[opening[0]]
