"""The line at the top: which chat is open."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui.markdown.sanitising import clean

_NEW, _TEMPORARY = "New chat", "Temporary chat, never saved"


class TitleLine(Static):
    """The chat's title; left out where there is little room."""

    def show(self, title: str, *, temporary: bool) -> None:
        """Name the chat."""
        named = clean(title)
        if temporary:
            self.update(Content(f"{_TEMPORARY}: {named}" if named else _TEMPORARY))
        else:
            self.update(Content(named or _NEW))
