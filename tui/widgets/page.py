"""Blocks of a reply on the screen, many in one widget: the fewer there are, the faster a chat."""

from __future__ import annotations

from collections.abc import Sequence

from textual.selection import Selection
from textual.widgets import Static

from tui.markdown import drawing
from tui.markdown.drawing import Hanging, Stack
from tui.markdown.parsing import QUOTE, Block

# The component classes that the text of a page asks for; the transcript has them for all pages.
STYLES = {"strong", "em", "s", "code_inline", "link", "address", "found", *drawing.STYLES}


class Page(Static):
    """Draws blocks, and others in their place when the text has grown."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.stack = Stack([Hanging(block) for block in blocks])
        super().__init__(self.stack)

    @property
    def blocks(self) -> list[Block]:
        """What it draws."""
        return [it.block for it in self.stack.blocks]

    def show(self, blocks: Sequence[Block]) -> None:
        """Draw these; where they need no more room, nothing around them is laid out anew."""
        if blocks == self.blocks:
            return
        kept = self.stack.blocks
        self.stack = Stack(
            [
                kept[index] if index < len(kept) and kept[index].block == block else Hanging(block)
                for index, block in enumerate(blocks)
            ]
        )
        height = self.stack.get_height({}, self.content_size.width)
        self.update(self.stack, layout=height != self.content_size.height)

    @property
    def found_row(self) -> int | None:
        """The row of the first word that a search found, if it has one."""
        return self.stack.found_row(self.content_size.width)

    def notify_style_update(self) -> None:
        """Draw all anew when the theme changes."""
        self.stack = Stack([Hanging(block) for block in self.blocks])
        self.update(self.stack, layout=False)
        super().notify_style_update()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What is selected, with its bullets and numbers."""
        text = selection.extract(self.stack.text(self.content_size.width))
        return text.replace(QUOTE, ">"), "\n"
