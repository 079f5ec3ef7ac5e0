"""Markdown to blocks: what a model writes, as a flat list of things to draw one below the other.

Text goes in, Blocks come out. Lists and quotes become the gutter left of their lines, so a block is
a leaf however deep it lies, and costs one widget. Nothing is dropped: HTML is text, a link shows
where it leads, a line break is a line break. While a text grows, only what follows its last closed
block is parsed again, and long code comes in several blocks, so that a token late in a long reply
costs what an early one does. Widgets and colours are not known here; styles are named by classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, Literal
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token
from textual.content import Content, Span
from textual.style import Style

from tui.opening import openable
from tui.text import clean

Kind = Literal["text", "heading", "code", "table", "rule"]

CODE_LINES = 24  # in one block; what a growing code block draws anew with every token
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


class GrowingMarkdown:
    """The blocks of a text that arrives piece by piece."""

    def __init__(self) -> None:
        self._parsers: dict[bool, MarkdownIt] = {}
        self._closed = 0
        self._tail = ""
        self.text = ""

    def add(self, text: str) -> tuple[int, list[Block]]:
        """Take more text; returns (n, blocks): the first n blocks stay, these follow them."""
        text = clean(text)
        self.text += text
        self._tail += text
        bare = _has_address(self._tail)
        if bare not in self._parsers:
            self._parsers[bare] = _parser(bare=bare)
        tokens = self._parsers[bare].parse(self._tail)
        start, line = _last_opened(tokens, before=self._tail.count("\n"))
        kept = self._closed
        closed = list(_blocks(tokens[:start], first=not kept))
        self._closed += len(closed)
        self._tail = self._tail.split("\n", line)[-1]
        return kept, [*closed, *_blocks(tokens[start:], first=not self._closed)]

    def finish(self) -> list[Block]:
        """All blocks, now that nothing follows: code is highlighted as a whole."""
        return blocks(self.text)


def blocks(text: str) -> list[Block]:
    """The blocks of a whole text."""
    parser = _parser(bare=_has_address(text))
    return list(_blocks(parser.parse(clean(text)), first=True, whole=True))


def links(text: str) -> list[Link]:
    """The links of a whole text that may be opened, each address once."""
    pieces = [
        piece
        for block in blocks(text)
        for piece in (block.styled, *chain.from_iterable(block.rows))
    ]
    found = {link.address: link for piece in reversed(pieces) for link in reversed(piece.links)}
    return list(found.values())[::-1]


def _parser(*, bare: bool) -> MarkdownIt:
    """bare: whether addresses are links without being marked as such, which takes longer to look
    for. Reference definitions are off: they are not shown, and a later one changes earlier text."""
    parser = MarkdownIt("commonmark", {"html": False, "linkify": bare})
    parser.enable(["table", "strikethrough"]).disable("reference")
    if bare and parser.linkify:
        parser.enable("linkify")
        parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
        parser.linkify.add("//", None).add("ftp:", None)
    return parser


def _has_address(text: str) -> bool:
    return "://" in text or "mailto:" in text


def _click(action: str, *arguments: object) -> Style:
    return Style.from_meta({"@click": (action, arguments)})


def _last_opened(tokens: Sequence[Token], before: int) -> tuple[int, int]:
    """Index and line of the last top-level block that a complete line has opened.

    `before` counts the complete lines. An incomplete one may still turn out to belong to the block
    before it: "#" opens a heading, "#tag" goes on with a paragraph.
    """
    for index in range(len(tokens) - 1, 0, -1):
        token = tokens[index]
        if token.level == 0 and token.nesting >= 0 and token.map and token.map[0] < before:
            return index, token.map[0]
    return 0, 0


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
                yield walk.block("text", _inline(token))
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


def _code(token: Token, walk: _Walk) -> Iterator[Block]:
    code = clean(token.content.rstrip("\n")).expandtabs(_TAB)
    language = (token.info.split() or [""])[0].lower()
    lines = code.split("\n")
    chunks = ["\n".join(lines[at : at + CODE_LINES]) for at in range(0, len(lines), CODE_LINES)]
    if walk.whole:
        parts = _cut(Styled(code, _highlights(code, language)), chunks)
    else:
        parts = [Styled(chunk, _highlights(chunk, language)) for chunk in chunks]
    for styled in parts:
        yield walk.block("code", styled)


def _cut(styled: Styled, chunks: Sequence[str]) -> list[Styled]:
    """The same highlights, in chunks of whole lines."""
    ends, end = [], -1
    for chunk in chunks:
        end += len(chunk) + 1
        ends.append(end)
    parts = styled.content.divide([offset for end in ends[:-1] for offset in (end, end + 1)])
    return [Styled(part.plain, tuple(part.spans)) for part in parts[::2]]


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
            case "text":
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
