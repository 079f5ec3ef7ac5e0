"""What the chat or message at hand says, beside the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tui.markdown.drawing import Hanging, Stack
from tui.markdown.parsing import Block
from tui.session.chat_preview import Glimpse, in_messages, quiet
from tui.widgets.page import STYLES, Page

_LINE = 2  # that says how much there is before, and the gap above it


class Preview(VerticalScroll, can_focus=False):
    """Shows a Glimpse from its beginning."""

    COMPONENT_CLASSES: ClassVar[set[str]] = STYLES

    def __init__(self) -> None:
        super().__init__()
        self._page = Page([])

    def compose(self) -> ComposeResult:
        """One page."""
        yield self._page

    def show(self, glimpse: Glimpse) -> None:
        """Show the last part of this, and as many before it as there is room for."""
        shown: list[Block] = []
        before = glimpse.before + sum(glimpse.counts)
        for part, count in zip(reversed(glimpse.parts), reversed(glimpse.counts), strict=True):
            if shown and self._height([*glimpse.head, *part, *shown]) + _LINE > self.size.height:
                break
            shown = [*part, *shown]
            before -= count
        more = [quiet(f"… {in_messages(before)} before")] if before else []
        self._page.show([*glimpse.head, *more, *shown])
        self.scroll_home(animate=False)

    def _height(self, blocks: Sequence[Block]) -> int:
        width = self._page.content_size.width
        return Stack([Hanging(block) for block in blocks]).get_height({}, width)
