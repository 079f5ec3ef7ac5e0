"""What the chat or message at hand says, beside the list.

The store is read on a thread, a moment after a row is pointed at; late answers are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.message import Message
from textual.timer import Timer

from amulet_local.chats.history import History
from amulet_local.errors import AmuletError
from tui.markdown.drawing import Hanging, Stack
from tui.markdown.parsing import Block
from tui.markdown.sanitising import sentence
from tui.session.chat_preview import ChatPreview, in_messages, preview_of, quiet
from tui.unexpected import as_sentences
from tui.widgets.chat_list import Row
from tui.widgets.page import STYLES, Page

_WAIT_S = 0.06
_LINE = 2  # that says how much there is before, and the gap above it


class Preview(VerticalScroll, can_focus=False):
    """Shows the ChatPreview of a row of the list, from its beginning."""

    COMPONENT_CLASSES: ClassVar[set[str]] = STYLES

    class Read(Message):
        """What there is to show of a row."""

        def __init__(self, row: Row, preview: ChatPreview) -> None:
            super().__init__()
            self.row, self.preview = row, preview

    def __init__(self, store: History) -> None:
        super().__init__()
        self._store = store
        self._row: Row | None = None
        self._waiting: Timer | None = None
        self._page = Page([])

    def compose(self) -> ComposeResult:
        """One page."""
        yield self._page

    def look_soon(self, row: Row, words: str) -> None:
        """Show a row of the list, if no other one comes at once. words: that were searched for."""
        self._row = row
        if self._waiting:
            self._waiting.stop()
        self._waiting = self.set_timer(_WAIT_S, partial(self._look, row, words))

    def clear(self) -> None:
        """Show nothing."""
        self._row = None
        self._show(ChatPreview())

    def _look(self, row: Row, words: str) -> None:
        if self.display:
            self._read(row, words)

    @work(thread=True, exclusive=True)
    def _read(self, row: Row, words: str) -> None:
        try:
            with as_sentences():
                preview = preview_of(self._store, row, words)
        except AmuletError as error:
            preview = ChatPreview((quiet(sentence(str(error))),))
        self.post_message(self.Read(row, preview))

    @on(Read)
    def _show_read(self, message: Read) -> None:
        if message.row == self._row:
            self._show(message.preview)

    def _show(self, preview: ChatPreview) -> None:
        """Show the last part of this, and as many before it as there is room for."""
        shown: list[Block] = []
        before = preview.before + sum(preview.counts)
        for part, count in zip(reversed(preview.parts), reversed(preview.counts), strict=True):
            if shown and self._height([*preview.head, *part, *shown]) + _LINE > self.size.height:
                break
            shown = [*part, *shown]
            before -= count
        more = [quiet(f"… {in_messages(before)} earlier")] if before else []
        self._page.show([*preview.head, *more, *shown])
        self.scroll_home(animate=False)

    def _height(self, blocks: Sequence[Block]) -> int:
        width = self._page.content_size.width
        return Stack([Hanging(block) for block in blocks]).get_height({}, width)
