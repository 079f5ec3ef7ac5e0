"""The line at the top: which chat is open."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui.markdown.sanitising import clean

_NEW = "New chat"


class TitleLine(Static):
    """The chat's title; left out where there is little room."""

    def show(self, title: str) -> None:
        """Name the chat."""
        self.update(Content(clean(title) or _NEW))
