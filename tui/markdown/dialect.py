r"""The Markdown that language models write: CommonMark with tables, and what differs from it.

Text goes in, markdown-it's tokens come out; whoever shows, searches or copies a reply reads it
here, so that they agree. What differs:

- Mathematics is a token of its own (math_inline, math_block), as it was written: `\(…\)`, `\[…\]`,
  `$…$`, `$$…$$` and `\begin{x}…\end{x}`. An amount of money is prose.
- A backslash is left out only before what is markup here and seldom LaTeX: \*, \_, \#, \$, …;
  before all else (\, \( \[ \{ \\) it stays, since models write LaTeX outside of its marks, too.
- Fences hold fences: see fences.py.
- A row keeps what it has beyond the columns of its table.
- Reference definitions are off: they are not shown, and a later one changes earlier text.
- Only http://, https:// and mailto: make an address a link without marks around it.

The time that a text takes grows with its length and no faster, whatever it holds, so three things
are bounded: see `_DEEPEST`, `_LONGEST_INLINE` and `_MOST_COLUMNS`. What lies beyond is text, as it
was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_block.table import escapedSplit
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from tui.markdown.addresses import address_rule
from tui.markdown.block_lines import ends_container, span
from tui.markdown.fences import fence_rule
from tui.markdown.mathematics import math_block_rule, math_inline_rule

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
    parser.block.ruler.at("fence", fence_rule, interrupts)
    parser.block.ruler.before("table", "math", math_block_rule, interrupts)
    parser.block.ruler.before("math", "too deep", _too_deep)
    parser.inline.ruler.at("escape", _escape)
    parser.inline.ruler.before("escape", "math", math_inline_rule)
    parser.inline.ruler.before("newline", "address", address_rule)
    parser.core.ruler.at("inline", _inline)
    return parser


# -- blocks ---------------------------------------------------------------------------------------


def _too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """What lies deeper than anybody nests is a paragraph to the end of what it lies in."""
    if silent or state.level < _DEEPEST:
        return False
    after = next((line for line in range(start + 1, end) if ends_container(state, line)), end)
    state.line = after
    state.push("paragraph_open", "p", 1).map = [start, after]
    token = state.push("inline", "", 0)
    token.content = state.getLines(start, after, state.blkIndent, False).strip()
    token.map, token.children = [start, after], []
    state.push("paragraph_close", "p", -1)
    return True


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """See _MOST_COLUMNS."""
    if start + 1 >= end or state.src.count("|", *span(state, start + 1)) > _MOST_COLUMNS + 1:
        return False
    before = len(state.tokens)
    if not table(state, start, end, silent):
        return False
    _keep_cells(state, state.tokens[before:])
    return True


def _keep_cells(state: StateBlock, tokens: Sequence[Token]) -> None:
    """What a row has beyond the last column stands in that, where GitHub drops it: a | in code,
    for instance, ends a cell."""
    columns = sum(token.type == "th_open" for token in tokens)
    last = Token("inline", "", 0)
    for token in tokens:
        if token.type == "inline":
            last = token
        elif token.type == "tr_close" and last.map:
            cells = escapedSplit(state.src[slice(*span(state, last.map[0]))].strip())
            further = "|".join(cells[(not cells[0]) + columns - 1 : None if cells[-1] else -1])
            last.content = further.strip()


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
