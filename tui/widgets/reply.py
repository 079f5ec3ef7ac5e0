"""A reply as it is read: Markdown that grows, drawn page by page.

Text goes in with `write` and is drawn by `draw`, so that a reader who has scrolled up is left in
peace. Of what is on the screen, only blocks that differ are touched.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate

from textual.widget import Widget

from tui.markdown.growing import GrowingMarkdown
from tui.markdown.parsing import Block
from tui.markdown.search_marks import Found
from tui.widgets.page import Page

_PAGE_LINES = 40
_LINE_LENGTH = 100  # about how many characters a wrapped line has


class Reply(Widget):
    """The text of one reply."""

    def __init__(self) -> None:
        super().__init__()
        self._markdown = GrowingMarkdown()
        self._pending = ""
        self._finished = False
        self.display = False  # while there is nothing to see
        self._blocks: list[Block] = []
        self._found: Found | None = None
        self._pages: list[Page] = []
        self._starts: list[int] = []  # the number of the first block of each page

    def on_mount(self) -> None:
        """Draw what came before there was a place for it."""
        self.draw()

    def write(self, text: str) -> None:
        """Take more text; it is drawn with the next `draw`."""
        self._pending += text

    def finish(self) -> None:
        """Nothing follows: draw the whole reply for good."""
        self._finished = True
        self.draw()

    def draw(self) -> None:
        """Draw what has been written since."""
        if not self.is_attached:
            return
        if self._pending:
            pending, self._pending = self._pending, ""
            self._show(*self._markdown.add(pending))
        if self._finished:
            self._show(0, self._markdown.finish())

    def mark(self, found: Found | None) -> None:
        """Mark what a search found, or nothing any more."""
        self._found = found
        if self.is_attached:
            self._show(0, list(self._blocks))

    def found_place(self) -> tuple[Page, int] | None:
        """The page with the first word found, and the row in it."""
        for page in self._pages:
            if (row := page.found_row) is not None:
                return page, row
        return None

    def _show(self, kept: int, blocks: list[Block]) -> None:
        """Have blocks from number `kept` on look like these."""
        self._blocks[kept:] = blocks
        self.display = bool(self._blocks)
        first = max(0, bisect_left(self._starts, kept) - 1)  # the page that may have room for more
        begin = self._starts[first] if self._starts else 0
        following = self._blocks[begin:]
        shown = self._found.in_blocks(following) if self._found else following
        wanted = list(_paged(shown))
        starts = accumulate(map(len, wanted[:-1]), initial=begin)
        self._starts = [*self._starts[:first], *starts] if wanted else self._starts[:first]
        pages = self._pages[first:]
        with self.app.batch_update():
            for page, content in zip(pages, wanted, strict=False):
                page.show(content)
            for page in pages[len(wanted) :]:
                page.remove()
            added = [Page(content) for content in wanted[len(pages) :]]
            if added:
                self.mount_all(added)
        self._pages[first:] = [*pages[: len(wanted)], *added]


def _paged(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Blocks in pages of some lines, so that what grows draws little anew."""
    page: list[Block] = []
    lines = 0
    for block in blocks:
        text = block.styled.text
        more = text.count("\n") + len(text) // _LINE_LENGTH + len(block.rows) + 1
        if page and lines + more > _PAGE_LINES:
            yield page
            page, lines = [], 0
        page.append(block)
        lines += more
    if page:
        yield page
