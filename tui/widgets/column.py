"""One of several replies side by side: its name, its text with the place where the texts part, what
it came to."""

from __future__ import annotations

import re
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from amulet_local.chats.provenance import Reason
from tui.comparison.comparison import Column
from tui.markdown.sanitising import clean, count, sentence

_WORD = re.compile(r"\s*\S*")
_ENDS: dict[Reason, str] = {"length": " · cut off", "cancelled": " · stopped"}


class ColumnText(VerticalScroll, can_focus=False):
    """The text; it scrolls along with the others."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"shared", "parting"}


class ColumnView(Vertical):
    """Shows a column, under a number for voting."""

    class Pointed(Message):
        """The user points at it."""

        def __init__(self, view: ColumnView) -> None:
            super().__init__()
            self.view = view

    def __init__(self, column: Column) -> None:
        super().__init__()
        self.column = column
        self._head, self._foot = Static(classes="head"), Static(classes="foot")
        self._words = Static()
        self.scroll = ColumnText(self._words)
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Name, text, figures."""
        yield self._head
        yield self.scroll
        yield self._foot

    def on_click(self) -> None:
        """Keys are about this one."""
        self.post_message(self.Pointed(self))

    def show(self, name: str, parting: int | None, *, blind: bool) -> None:
        """Show the column as it is now; what is shown already is not drawn again."""
        column = self.column
        seen = (column, name, parting, blind, len(column.text), len(column.steps), column.ended)
        if seen == self._shown:
            return
        self._shown = seen
        self._head.update(Content(clean(name)))
        self._words.update(self._text(parting))
        self._foot.update(Content("" if blind else _figures(column)))

    def _text(self, parting: int | None) -> Content:
        text = self.column.text
        if self.column.trouble:
            return Content(clean(f"{text}\n\n! {sentence(self.column.trouble)}".strip()))
        if not text:
            return Content.styled("no text" if self.column.ended else "…", ".shared")
        if parting is None:
            return Content(clean(text))
        word = _WORD.match(text, parting)
        end = word.end() if word else parting
        parts = text[parting:end] if end > parting else " ■"  # where this one ends
        return Content.assemble(
            (clean(text[:parting]), ".shared"),
            *_spaced(clean(parts)),
            clean(text[end:]),
        )


def _spaced(parts: str) -> list[str | tuple[str, str]]:
    """The word at which texts part, marked without the spaces before it."""
    word = parts.lstrip()
    return [parts[: len(parts) - len(word)], (word, ".parting")]


def _figures(column: Column) -> str:
    """Length and speed, as far as there are any."""
    if not column.request:
        return "waiting for the others"
    if column.finished:
        stats = column.finished.stats
        told = [*map(str, column.checks), count(stats.tokens, "token")]
        told.append(f"{stats.tokens_per_s:.1f}/s{_ENDS.get(column.finished.reason, '')}")
        return clean(" · ".join(told))
    return f"▸ {count(len(column.steps), 'token')}"
