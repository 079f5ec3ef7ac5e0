r"""The Markdown that language models write: CommonMark with tables, and what differs from it.

Text goes in, markdown-it's tokens come out; whoever shows, searches or copies a reply reads it
here, so that they agree. What differs:

- Mathematics is a token of its own (math_inline, math_block), as it was written: `\(…\)`, `\[…\]`,
  `$…$`, `$$…$$` and `\begin{x}…\end{x}`. An amount of money is prose.
- A backslash is left out only before what is markup here and seldom LaTeX: \*, \_, \#, \$, …;
  before all else (\, \( \[ \{ \\) it stays, since models write LaTeX outside of its marks, too.
- Fences hold fences: see `_fence`.
- Reference definitions are off: they are not shown, and a later one changes earlier text.
- Only http://, https:// and mailto: make an address a link without marks around it.

The time that a text takes grows with its length and no faster, whatever it holds, so three things
are bounded: see `_DEEPEST`, `_LONGEST_INLINE` and `_MOST_COLUMNS`. What lies beyond is text, as it
was written.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

# Below this level of nesting (a list takes two) all is one paragraph: every container looks at each
# of its lines again, and the parser leaves out what lies deeper than its own bound.
_DEEPEST = 18
_NESTING = 20  # the parser's own bound, for brackets in brackets
# Characters of a paragraph, heading or cell that are looked through for emphasis, links, …; that
# takes up to 15 µs each, and nobody writes longer paragraphs.
_LONGEST_INLINE = 50_000
# Of a table. A short row is filled up to all columns, so that a little text becomes very many
# cells; more columns are too narrow to be read in any terminal.
_MOST_COLUMNS = 24

_MARKUP = frozenset("*_`~#+-.<>&$")  # what a backslash makes an ordinary character

_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*(.*)")
_HOLDS_FENCES = {"markdown", "md", "mdx", "rmarkdown", "rmd", "qmd"}
_MOST_FENCES = 40  # lines that look like a fence, looked at ahead of a code block's end

_OPENS_MATH = re.compile(r"\$\$|\\\[|\\\(|\\begin\{([A-Za-z]{1,30}\*?)\}")
_CLOSES_MATH = re.compile(r"\$\$|\\\]|\\\)|\\end\{[A-Za-z]{1,30}\*?\}")
_STOPS_DOLLAR = re.compile(r"`|(?<![\s\\$])\$(?![\d$])")  # code, or what can end $…$
_AMOUNT = re.compile(r"\$[\d.,]+\w?\s+[A-Za-z]{2}")  # of money, and prose that goes on
_AFTER_MATH = " \t.,;:!?)"

_SCHEME = re.compile(
    r"(?<![A-Za-z0-9+.-])(?:https?(?=://\w)|mailto(?=:[^\s@]{1,99}@\w))", re.IGNORECASE
)
_LONGEST_SCHEME = len("mailto")
_ADDRESS = re.compile(r":[^\s<>\[\]\"`|\\^{}]*")
_AFTER_ADDRESS = "?!.,:;*_~'"


def parse(text: str) -> list[Token]:
    """The tokens of a text. A fence whose end may yet turn out to be another one, when the text
    goes on, has "undecided" in its meta."""
    return _parser().parse(text)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _NESTING})
    parser.enable(["table", "strikethrough"]).disable("reference")
    interrupts: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    parser.block.ruler.at("fence", _fence, interrupts)
    parser.block.ruler.before("table", "math", _math_block, interrupts)
    parser.block.ruler.before("math", "too deep", _too_deep)
    parser.inline.ruler.at("escape", _escape)
    parser.inline.ruler.before("escape", "math", _math_inline)
    parser.inline.ruler.before("newline", "address", _address)
    parser.core.ruler.at("inline", _inline)
    return parser


# -- blocks ---------------------------------------------------------------------------------------


def _too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """What lies deeper than anybody nests is a paragraph to the end of what it lies in."""
    if silent or state.level < _DEEPEST:
        return False
    after = next((line for line in range(start + 1, end) if _is_outside(state, line)), end)
    state.line = after
    state.push("paragraph_open", "p", 1).map = [start, after]
    token = state.push("inline", "", 0)
    token.content = state.getLines(start, after, state.blkIndent, False).strip()
    token.map, token.children = [start, after], []
    state.push("paragraph_close", "p", -1)
    return True


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """See _MOST_COLUMNS."""
    if start + 1 >= end or state.src.count("|", *_span(state, start + 1)) > _MOST_COLUMNS + 1:
        return False
    return table(state, start, end, silent)


def _math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""Mathematics on lines of its own: from `\[`, `$$` or `\begin{x}` to what closes it.

    LaTeX allows no blank line in it, so one ends it, closed or not. Its lines are never lists,
    headings or rules, whatever they begin with.
    """
    if state.is_code_block(start):
        return False
    begin, stop = _span(state, start)
    opening = _OPENS_MATH.match(state.src, begin, stop)
    if not opening or opening[0] == "\\(":
        return False
    closing = _closing(opening)
    at, after = opening.end(), start
    while after < end and not (after > start and (state.isEmpty(after) or _outside(state, after))):
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


@dataclass(frozen=True)
class _Fence:
    """A line that opens or closes code: what its mark is made of, how long that is, its info."""

    mark: str
    length: int
    info: str

    @classmethod
    def at(cls, state: StateBlock, line: int) -> _Fence | None:
        """The fence in this line, if it is one."""
        begin, stop = _span(state, line)
        if not state.src.startswith(("```", "~~~"), begin, stop) or state.is_code_block(line):
            return None
        match = _FENCE.match(state.src, begin, stop)
        if not match or (match[1][0] == "`" and "`" in match[2]):
            return None
        return cls(match[1][0], len(match[1]), match[2].strip())


@dataclass(frozen=True)
class _End:
    """Where code ends: the line that closes it, or the first that is not in it. met: whether a
    fence that opens was on the way. more: whether more text could close it."""

    line: int
    closed: bool
    met: bool = False
    more: bool = False


def _fence(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Code between fences, which may hold fences of backticks as long as its own.

    By CommonMark the first bare fence ends the code, whatever was opened in it; who wants to show a
    fence takes a longer one around it. Models seldom do. So a fence with an info string in the
    code opens a fence in it, and a bare one closes the innermost. This is how it is read

    - in Markdown (see _HOLDS_FENCES), always, so that it is one block while it is written, too;
    - in code of any other kind only if it comes out even, within _MOST_FENCES fences: a model that
      forgot to end its code before the next would else have the rest of the reply in it.

    In all other cases, and for tildes, CommonMark holds.
    """
    fence = None if state.is_code_block(start) else _Fence.at(state, start)
    if not fence or silent:
        return fence is not None
    undecided = False
    if fence.mark == "`" and fence.info.split(" ")[0].lower() in _HOLDS_FENCES:
        found = _end_of(state, fence, start, end, most=None)
    else:
        found = _end_of(state, fence, start, end, most=0)
        if found.met and found.closed and fence.mark == "`":
            nested = _end_of(state, fence, start, end, most=_MOST_FENCES)
            found = nested if nested.closed else found
            undecided = nested.more and not nested.closed
    state.line = found.line + found.closed
    token = state.push("fence", "code", 0)
    token.info = fence.info
    token.content = state.getLines(start + 1, found.line, state.sCount[start], True)
    token.markup = fence.mark * fence.length
    token.map = [start, state.line]
    token.meta = {"undecided": True} if undecided and not token.level else {}
    return True


def _end_of(state: StateBlock, fence: _Fence, start: int, end: int, most: int | None) -> _End:
    """Where the code of a fence ends. most: how many fences are looked at for others in it; 0:
    there are none in it, as in CommonMark; None: all."""
    open_lengths = [fence.length]
    seen, met = 0, False
    for line in range(start + 1, end):
        if _is_outside(state, line):
            return _End(line, closed=False, met=met)
        if _span(state, line)[0] == len(state.src):  # an empty line in a quote, and no more
            return _End(line, closed=False, met=met, more=True)
        other = _Fence.at(state, line)
        if not other or other.mark != fence.mark or other.length < open_lengths[-1]:
            continue
        seen += 1
        if most and seen > most:
            return _End(line, closed=False, met=met)
        if other.info:
            met = True
            if most != 0:
                open_lengths.append(other.length)
        else:
            open_lengths.pop()
            if not open_lengths:
                return _End(line, closed=True, met=met)
    return _End(end, closed=False, met=met, more=True)


def _span(state: StateBlock, line: int) -> tuple[int, int]:
    """Where a line begins, without its indentation, and where it ends."""
    return state.bMarks[line] + state.tShift[line], state.eMarks[line]


def _outside(state: StateBlock, line: int) -> bool:
    return state.sCount[line] < state.blkIndent


def _is_outside(state: StateBlock, line: int) -> bool:
    """Whether a line ends what is around it."""
    return _outside(state, line) and not state.isEmpty(line)


# -- lines ----------------------------------------------------------------------------------------


def _inline(state: StateCore) -> None:
    """See _LONGEST_INLINE."""
    for token in state.tokens:
        if token.type == "inline" and token.content:
            if len(token.content) > _LONGEST_INLINE:
                token.children = [Token("text", "", 0, content=token.content)]
            else:
                token.children = state.md.inline.parse(token.content, state.md, {}, [])


def _escape(state: StateInline, silent: bool) -> bool:
    """A backslash and what it stands before; at the end of a line, a line break."""
    following = state.src[state.pos + 1 : state.pos + 2]
    if state.src[state.pos] != "\\" or not following or following.isalnum():
        return False
    if following == "\n":
        if not silent:
            state.push("hardbreak", "br", 0)
        while state.src[state.pos + 2 : state.pos + 3] in (" ", "\t"):
            state.pos += 1
    elif not silent:
        token = state.push("text_special", "", 0)
        token.content = following if following in _MARKUP else f"\\{following}"
    state.pos += 2
    return True


def _math_inline(state: StateInline, silent: bool) -> bool:
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


def _address(state: StateInline, silent: bool) -> bool:
    """An address without marks around it, as far as it goes without what ends a sentence."""
    source, colon = state.src, state.pos
    if source[colon] != ":" or state.linkLevel:
        return False
    scheme = next(
        (
            match[0]
            for start in range(max(0, colon - _LONGEST_SCHEME), colon)
            if (match := _SCHEME.match(source, start)) and match.end() == colon
        ),
        "",
    )
    if not scheme or not (silent or state.pending.endswith(scheme)):
        return False
    match = _ADDRESS.match(source, colon, state.posMax)
    rest = _without_end(match[0]) if match else ""
    if not rest.strip(":/"):
        return False
    address = state.md.normalizeLink(scheme + rest)
    if not silent:
        state.pending = state.pending[: -len(scheme)]
        state.push("link_open", "a", 1).attrs = {"href": address}
        state.push("text", "", 0).content = state.md.normalizeLinkText(scheme + rest)
        state.push("link_close", "a", -1)
    state.pos += len(rest)
    return True


def _without_end(address: str) -> str:
    """An address without the marks of a sentence behind it, nor brackets that it did not open."""
    surplus = address.count(")") - address.count("(")
    end = len(address)
    while end and (address[end - 1] in _AFTER_ADDRESS or (address[end - 1] == ")" and surplus > 0)):
        surplus -= address[end - 1] == ")"
        end -= 1
    return address[:end]
