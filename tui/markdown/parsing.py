"""Markdown to blocks: what a model writes, as a flat list of things to draw one below the other.

Text goes in, Blocks come out. Lists and quotes become the gutter left of their lines, so a block is
a leaf however deep it lies, and costs one widget. Nothing is dropped: HTML is text, a link shows
where it leads, a line break is a line break. While a text grows, only what follows its last closed
block is parsed again, and the less often the longer that is; long code and long paragraphs come in
several blocks. So a token late in a long reply costs what an early one does. Which Markdown it is
says dialect.py. Widgets and colours are not known here; styles are named by classes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate, chain
from typing import Any, Literal
from urllib.parse import unquote

from markdown_it.token import Token
from textual.content import Content, Span
from textual.style import Style

from tui.markdown.dialect import parse
from tui.markdown.sanitising import clean
from tui.system.links import openable

Kind = Literal["text", "heading", "code", "table", "rule"]

CODE_LINES = 24  # in one block; what a growing code block draws anew with every token
TEXT_LENGTH = 2000  # characters of a paragraph in one block, or a line more
_LONGEST_LINE = 8000  # characters; only a longer one is broken, at a space
# A text that is still open, an item or a row for instance, is parsed whole with every addition as
# long as that takes as much as so many characters of prose; then each time it has grown by a share.
# In between, what is new is shown as it was written. Each character is so parsed _SHARE times.
_PARSED_AT_ONCE = 4000
_SHARE = 32
_TOKEN_COST = 4  # characters of prose that take as long as a token
_LONGEST_HIGHLIGHT = 20_000  # characters
_TAB = 4
_BULLETS = "•◦▪"
QUOTE = "▎"
_RULE = "─" * 24


@dataclass(frozen=True)
class Link:
    """A part of a text that leads somewhere: text[start:end] of the piece that it is in."""

    start: int
    end: int
    text: str
    address: str


@dataclass(frozen=True)
class Styled:
    """A piece of text, and where it is strong, code, a link, …; styles are class names. links:
    those that may be opened."""

    text: str = ""
    spans: tuple[Span, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def content(self) -> Content:
        """As Textual draws it; never read as markup. A click on a link is the app's action."""
        clicks = [
            Span(link.start, link.end, _click("app.open_address", link.address))
            for link in self.links
        ]
        return Content(self.text, [*self.spans, *clicks])


@dataclass(frozen=True)
class Block:
    """Something to draw.

    first, rest: what stands left of the first line and of the others (a bullet, a quote's bar).
    gap: whether an empty row comes before it. level: of a heading, from 1. rows: of a table, its
    head first; each row has as many cells. to_right: its columns that end in one line.
    """

    kind: Kind
    styled: Styled = Styled()
    first: str = ""
    rest: str = ""
    gap: bool = True
    level: int = 0
    rows: tuple[tuple[Styled, ...], ...] = ()
    to_right: frozenset[int] = frozenset()


_NOTHING = Block("rule", gap=False)


class GrowingMarkdown:
    """The blocks of a text that arrives piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._closed = 0  # blocks that stay
        self._tail = ""  # what follows them, as far as it was parsed
        self._fresh: list[str] = []  # and what has come since
        self._fresh_length = 0
        self._work = 0  # what parsing the open part takes, in characters of prose
        self._shown = 0  # all blocks
        self._last = _NOTHING
        self._last_parsed = False

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)

    def add(self, text: str) -> tuple[int, list[Block]]:
        """Take more text; returns (n, blocks): the first n blocks stay, these follow them."""
        text = clean(text)
        self._pieces.append(text)
        self._fresh.append(text)
        self._fresh_length += len(text)
        if self._fresh_length * _SHARE < self._work - _PARSED_AT_ONCE:
            return self._as_written(text)
        self._tail += "".join(self._fresh)
        self._fresh, self._fresh_length = [], 0
        tokens = parse(self._tail)
        start, line = _last_opened(tokens, before=self._tail.count("\n"))
        kept = self._closed
        closed = list(_blocks(tokens[:start], first=not kept))
        self._closed += len(closed)
        still_open = list(_blocks(tokens[start:], first=not self._closed))
        self._tail = self._tail.split("\n", line)[-1]
        self._work = len(self._tail) + _TOKEN_COST * _count(tokens[start:])
        self._shown = self._closed + len(still_open)
        self._last, self._last_parsed = (still_open or [_NOTHING])[-1], True
        return kept, [*closed, *still_open]

    def _as_written(self, text: str) -> tuple[int, list[Block]]:
        """Show what is new behind the last block, without parsing it."""
        last = self._last
        if self._last_parsed:  # which is shown without the line feeds at its end
            text = self._tail[len(self._tail.rstrip("\n")) :] + text
            self._last_parsed = False
        kept = self._shown
        if last.kind in ("text", "code") and not _is_full(last, text):
            kept -= 1
            styled = replace(last.styled, text=last.styled.text + _as_shown(last.kind, text))
            self._last = replace(last, styled=styled)
        else:
            kind: Kind = "code" if last.kind == "code" else "text"
            text = _as_shown(kind, text.lstrip("\n"))
            self._last = Block(kind, Styled(text), last.rest, last.rest, gap=False)
        self._shown = kept + 1
        return kept, [self._last]

    def finish(self) -> list[Block]:
        """All blocks, now that nothing follows: code is highlighted as a whole."""
        return blocks(self.text)


def _is_full(block: Block, text: str) -> bool:
    """Whether a block takes no more text, but another one goes on."""
    if "\n" not in text[:1]:
        return len(block.styled.text) > _LONGEST_LINE
    lines = block.styled.text.count("\n") + 1
    return lines >= CODE_LINES if block.kind == "code" else len(block.styled.text) >= TEXT_LENGTH


def _as_shown(kind: Kind, text: str) -> str:
    return text.expandtabs(_TAB) if kind == "code" else text


def _count(tokens: Sequence[Token]) -> int:
    return len(tokens) + sum(len(token.children or ()) for token in tokens)


def blocks(text: str) -> list[Block]:
    """The blocks of a whole text."""
    return list(_blocks(parse(clean(text)), first=True, whole=True))


def links(text: str) -> list[Link]:
    """The links of a whole text that may be opened, each address once."""
    pieces = [
        piece
        for block in blocks(text)
        for piece in (block.styled, *chain.from_iterable(block.rows))
    ]
    found = {link.address: link for piece in reversed(pieces) for link in reversed(piece.links)}
    return list(found.values())[::-1]


def _click(action: str, *arguments: object) -> Style:
    return Style.from_meta({"@click": (action, arguments)})


def _last_opened(tokens: Sequence[Token], before: int) -> tuple[int, int]:
    """Index and line of the last top-level block that a complete line has opened.

    `before` counts the complete lines. An incomplete one may still turn out to belong to the block
    before it: "#" opens a heading, "#tag" goes on with a paragraph. Nor is anything closed behind
    a block whose end is undecided.
    """
    found = 0, 0
    for index, token in enumerate(tokens):
        if token.level == 0 and token.nesting >= 0 and token.map and token.map[0] < before:
            found = index, token.map[0]
            if token.meta.get("undecided"):
                break
    return found


# -- blocks ---------------------------------------------------------------------------------------


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

    def block(self, kind: Kind, styled: Styled = Styled(), **more: Any) -> Block:
        """A block here; the gap before it, and markers left of it, are used up."""
        first = "".join(gutter.take() for gutter in self.gutters)
        rest = "".join(gutter.rest for gutter in self.gutters)
        gap, self.gap, self.started = self.gap and self.started, False, True
        return Block(kind, styled, first, rest, gap, **more)


def _blocks(tokens: Sequence[Token], *, first: bool, whole: bool = False) -> Iterator[Block]:
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
                yield from _text(_inline(token), walk)
            case "math_block":
                yield from _text(Styled(clean(token.content)), walk)
            case "inline" if tokens[index - 1].type == "heading_open":
                yield walk.block("heading", _inline(token), level=int(tokens[index - 1].tag[1]))
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
            rows[-1].append(_inline(token))
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
    for part in _divided(styled, list(_cuts(styled.text))):
        yield walk.block("text", part)


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    """Where a block ends and the next one begins: between them is a line feed, or in a line without
    end a space, or nothing."""
    start = 0
    while len(text) - start > TEXT_LENGTH:
        end = text.find("\n", start + TEXT_LENGTH, start + _LONGEST_LINE)
        if end < 0:
            if len(text) - start <= _LONGEST_LINE:
                return
            end = text.rfind(" ", start + TEXT_LENGTH, start + _LONGEST_LINE)
        cut = (end, end + 1) if end >= 0 else (start + _LONGEST_LINE,) * 2
        yield cut
        start = cut[1]


def _divided(styled: Styled, cuts: Sequence[tuple[int, int]]) -> list[Styled]:
    """The same text without what lies between the ends of each cut."""
    if not cuts:
        return [styled]
    parts = Content(styled.text, list(styled.spans)).divide(list(chain.from_iterable(cuts)))[::2]
    starts = [0, *(start for _, start in cuts)]
    links: list[list[Link]] = [[] for _ in parts]
    for link in styled.links:
        for at in range(bisect_right(starts, link.start) - 1, bisect_left(starts, link.end)):
            begin, length = starts[at], len(parts[at].plain)
            own = (max(0, link.start - begin), min(length, link.end - begin))
            links[at].append(replace(link, start=own[0], end=own[1]))
    return [
        Styled(part.plain, tuple(part.spans), tuple(own))
        for part, own in zip(parts, links, strict=True)
    ]


def _code(token: Token, walk: _Walk) -> Iterator[Block]:
    code = clean(token.content.rstrip("\n")).expandtabs(_TAB)
    language = (token.info.split() or [""])[0].lower()
    lines = code.split("\n")
    chunks = ["\n".join(lines[at : at + CODE_LINES]) for at in range(0, len(lines), CODE_LINES)]
    if walk.whole:
        ends = list(accumulate(len(chunk) + 1 for chunk in chunks[:-1]))
        parts = _divided(
            Styled(code, _highlights(code, language)), [(end - 1, end) for end in ends]
        )
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

    content = highlight(code, language=language, tab_size=_TAB)
    return tuple(content.spans) if content.plain == code else ()


# -- lines ----------------------------------------------------------------------------------------


def _inline(token: Token) -> Styled:
    """The text between block marks, with its emphasis, code and links."""
    line, targets = _Line(), []
    for child in token.children or ():
        match child.type:
            case "text" | "math_inline":
                line.add(child.content)
            case "code_inline":
                line.add(child.content, ".code_inline")
            case "softbreak" | "hardbreak":
                line.add("\n")
            case "strong_open" | "em_open" | "s_open":
                line.open()
            case "strong_close" | "em_close" | "s_close":
                line.close("." + child.type.removesuffix("_close"))
            case "link_open":
                targets.append(child.attrGet("href"))
                line.open()
            case "link_close":
                line.close(".link")
                line.lead_to(targets.pop())
            case "image":
                line.add(child.content or "image", ".link")
                line.lead_to(child.attrGet("src"))
    return Styled(line.text, tuple(line.spans), tuple(line.links))


class _Line:
    """A text that grows, and the spans opened and closed in it."""

    def __init__(self) -> None:
        self.text = ""
        self.spans: list[Span] = []
        self.links: list[Link] = []
        self._starts: list[int] = []
        self._last = (0, "")  # where the last span to close began, and what it was about

    def add(self, text: str, style: str = "") -> None:
        self.open()
        self.text += clean(text)
        self.close(style)

    def open(self) -> None:
        self._starts.append(len(self.text))

    def close(self, style: str) -> None:
        start = self._starts.pop()
        self._last = (start, self.text[start:])
        if style and self._last[1]:
            self.spans.append(Span(start, len(self.text), style))

    def lead_to(self, target: object) -> None:
        """Show where a link leads, unless its text says so, and lead there if that may be."""
        if not isinstance(target, str) or not target:
            return
        start, text = self._last
        if unquote(target) != unquote(text):
            self.add(f" ({target})", ".address")
        if openable(target):
            self.links.append(Link(start, len(self.text), text, target))


def code_blocks(text: str) -> list[str]:
    """The code blocks of a Markdown text as they are shown, in order, without their fences."""
    tokens = parse(clean(text))
    return [token.content for token in tokens if token.type in ("fence", "code_block")]
