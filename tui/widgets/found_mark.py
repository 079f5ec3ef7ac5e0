"""What a search found, in one message of a scrolling view: marked, and brought into sight."""

from __future__ import annotations

from textual.containers import VerticalScroll

from tui.markdown.search_marks import Found
from tui.widgets.message import MessageView

_TRIES = 4  # what is above the word may still get its height


class FoundMark:
    """At most one message at a time has marks."""

    def __init__(self, scroller: VerticalScroll) -> None:
        self._scroller = scroller
        self._view: MessageView | None = None

    def show(self, view: MessageView, found: Found) -> None:
        """Mark what was found in a message, and have the first word in sight."""
        self.clear()
        self._view = view
        view.mark(found)
        self._scroller.call_after_refresh(self._reveal, _TRIES)

    def clear(self) -> None:
        """It has been seen."""
        view, self._view = self._view, None
        if view:
            view.mark(None)

    def _reveal(self, tries: int) -> None:
        """Scroll to the first word, with some of what stands above it."""
        scroller, place = self._scroller, self._view.found_place() if self._view else None
        if place and (widget := place[0]).is_attached:
            row = place[1] + widget.region.y - scroller.region.y + round(scroller.scroll_offset.y)
            scroller.scroll_to(y=row - scroller.size.height // 3, animate=False, immediate=True)
            if tries:
                scroller.call_after_refresh(self._reveal, tries - 1)
