"""Markdown to blocks: what a model writes, as a flat list of things to draw one below the other.

Text goes in, Blocks come out. Lists and quotes become the gutter left of their lines, so a block is
a leaf however deep it lies, and costs one widget. Nothing is dropped: HTML is text, a link shows
where it leads, a line break is a line break. Long code and long paragraphs come in several blocks,
so that what grows draws little anew (see growing.py). Which Markdown it is says dialect.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, chain
from typing import Any, Literal

from markdown_it.token import Token
from textual.content import Span

from tui.markdown.dialect import parse
from tui.markdown.sanitising import clean
from tui.markdown.styled import Link, Styled, divided, styled_of

Kind = Literal["text", "heading", "code", "table", "rule"]

CODE_LINES = 24  # in one block; what a growing code block draws anew with every token
TEXT_LENGTH = 2000  # characters of a paragraph in one block, or a line more
LONGEST_LINE = 8000  # characters; only a longer one is broken, at a space
_LONGEST_HIGHLIGHT = 20_000  # characters
TAB = 4
_BULLETS = "•◦▪"
QUOTE = "▎"
_RULE = "─" * 24

_NO_TEXT = Styled()


@dataclass(frozen=True)
class Block:
    """Something to draw.

    first, rest: what stands left of the first line and of the others (a bullet, a quote's bar).
    gap: whether an empty row comes before it. level: of a heading, from 1. rows: of a table, its
    head first; each row has as many cells. to_right: its columns that end in one line.
    """

    kind: Kind
    styled: Styled = _NO_TEXT
    first: str = ""
    rest: str = ""
    gap: bool = True
    level: int = 0
    rows: tuple[tuple[Styled, ...], ...] = ()
    to_right: frozenset[int] = frozenset()


def blocks(text: str) -> list[Block]:
    """The blocks of a whole text."""
    return list(blocks_of(parse(clean(text)), first=True, whole=True))


def links(text: str) -> list[Link]:
    """The links of a whole text that may be opened, each address once."""
    pieces = [
        piece
        for block in blocks(text)
        for piece in (block.styled, *chain.from_iterable(block.rows))
    ]
    found = {link.address: link for piece in reversed(pieces) for link in reversed(piece.links)}
    return list(found.values())[::-1]


@dataclass
class _Gutter:
    """What a list item or a quote puts left of its lines; the marker stands beside the first."""

    marker: str
    rest: str

    def take(self) -> str:
        marker, self.marker = self.marker, self.rest
        return marker


@dataclass
class _Walk:
    """Where in the nesting a walk over tokens is."""

    started: bool  # whether a block stands above
    whole: bool
    gap: bool = False
    gutters: list[_Gutter] = field(default_factory=list)
    bullets: int = 0

    def block(self, kind: Kind, styled: Styled = _NO_TEXT, **more: Any) -> Block:
        """A block here; the gap before it, and markers left of it, are used up."""
        first = "".join(gutter.take() for gutter in self.gutters)
        rest = "".join(gutter.rest for gutter in self.gutters)
        gap, self.gap, self.started = self.gap and self.started, False, True
        return Block(kind, styled, first, rest, gap, **more)


def blocks_of(tokens: Sequence[Token], *, first: bool, whole: bool = False) -> Iterator[Block]:
    """first: whether nothing stands above. whole: code is highlighted in one go, at any length."""
    walk = _Walk(started=not first, whole=whole)
    for index, token in enumerate(tokens):
        if token.level == 0 and token.nesting >= 0:
            walk.gap = True
        match token.type:
            case "bullet_list_open":
                walk.bullets += 1
            case "bullet_list_close":
                walk.bullets -= 1
            case "list_item_open":
                marker = _marker(token, walk.bullets)
                walk.gutters.append(_Gutter(marker, " " * len(marker)))
            case "blockquote_open":
                walk.gutters.append(_Gutter(f"{QUOTE} ", f"{QUOTE} "))
            case "list_item_close" | "blockquote_close":
                if walk.gutters[-1].marker != walk.gutters[-1].rest:
                    yield walk.block("text")  # an item with nothing in it (yet)
                walk.gutters.pop()
            case "paragraph_open" if not token.hidden and token.level:
                walk.gap = True
            case "inline" if tokens[index - 1].type == "paragraph_open":
                yield from _text(styled_of(token), walk)
            case "math_block":
                yield from _text(Styled(clean(token.content)), walk)
            case "inline" if tokens[index - 1].type == "heading_open":
                yield walk.block("heading", styled_of(token), level=int(tokens[index - 1].tag[1]))
            case "fence" | "code_block":
                yield from _code(token, walk)
            case "table_open":
                rows = _rows(tokens[index:])
                yield walk.block("table", rows=rows, to_right=_to_right(tokens[index:]))
            case "hr":
                yield walk.block("rule", Styled(_RULE))


def _marker(token: Token, depth: int) -> str:
    if token.info:  # a number
        return f"{token.info:>2}{token.markup} "
    return f"{_BULLETS[min(depth, len(_BULLETS)) - 1]} "


def _rows(tokens: Sequence[Token]) -> tuple[tuple[Styled, ...], ...]:
    """The cells of the table that begins here."""
    rows: list[list[Styled]] = []
    for index, token in enumerate(tokens):
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and tokens[index - 1].type in ("th_open", "td_open"):
            rows[-1].append(styled_of(token))
    return tuple(map(tuple, rows))


def _to_right(tokens: Sequence[Token]) -> frozenset[int]:
    """The columns, counted from 0, that the table which begins here has on the right."""
    heads = [token for token in tokens[: _end_of_head(tokens)] if token.type == "th_open"]
    styles = [str(head.attrGet("style") or "") for head in heads]
    return frozenset(at for at, style in enumerate(styles) if "right" in style)


def _end_of_head(tokens: Sequence[Token]) -> int:
    return next(at for at, token in enumerate(tokens) if token.type == "thead_close")


def _text(styled: Styled, walk: _Walk) -> Iterator[Block]:
    """A paragraph; a long one in several blocks, so that what grows draws little anew."""
    for part in divided(styled, list(_cuts(styled.text))):
        yield walk.block("text", part)


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    """Where a block ends and the next one begins: between them is a line feed, or in a line without
    end a space, or nothing."""
    start = 0
    while len(text) - start > TEXT_LENGTH:
        end = text.find("\n", start + TEXT_LENGTH, start + LONGEST_LINE)
        if end < 0:
            if len(text) - start <= LONGEST_LINE:
                return
            end = text.rfind(" ", start + TEXT_LENGTH, start + LONGEST_LINE)
        cut = (end, end + 1) if end >= 0 else (start + LONGEST_LINE,) * 2
        yield cut
        start = cut[1]


def _code(token: Token, walk: _Walk) -> Iterator[Block]:
    code = clean(token.content.rstrip("\n")).expandtabs(TAB)
    language = (token.info.split() or [""])[0].lower()
    lines = code.split("\n")
    chunks = ["\n".join(lines[at : at + CODE_LINES]) for at in range(0, len(lines), CODE_LINES)]
    if walk.whole:
        ends = list(accumulate(len(chunk) + 1 for chunk in chunks[:-1]))
        parts = divided(Styled(code, _highlights(code, language)), [(end - 1, end) for end in ends])
    else:
        parts = [Styled(chunk, _highlights(chunk, language)) for chunk in chunks]
    for styled in parts:
        yield walk.block("code", styled)


@lru_cache(maxsize=1024)
def _highlights(code: str, language: str) -> tuple[Span, ...]:
    """Where the code has keywords, strings, …; none in a language that is not known."""
    if not language or len(code) > _LONGEST_HIGHLIGHT:
        return ()
    from textual.highlight import highlight  # late: its lexers take a while to import

    content = highlight(code, language=language, tab_size=TAB)
    return tuple(content.spans) if content.plain == code else ()


def code_blocks(text: str) -> list[str]:
    """The code blocks of a Markdown text as they are shown, in order, without their fences."""
    tokens = parse(clean(text))
    return [token.content for token in tokens if token.type in ("fence", "code_block")]
