"""Text with styles and links, made from markdown-it's token of a paragraph, heading or cell.

Styles are named by classes; a link shows where it leads.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from urllib.parse import unquote

from markdown_it.token import Token
from textual.content import Content, Span
from textual.style import Style

from tui.markdown.sanitising import clean
from tui.system.links import openable


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


def _click(action: str, *arguments: object) -> Style:
    return Style.from_meta({"@click": (action, arguments)})


def divided(styled: Styled, cuts: Sequence[tuple[int, int]]) -> list[Styled]:
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


def styled_of(token: Token) -> Styled:
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
