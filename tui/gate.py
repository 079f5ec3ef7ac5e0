"""The last gate before the terminal: every line that a widget draws goes through it.

Widgets make their text safe themselves, so that they lay out what is drawn. What one forgot, or
Textual's own draw, is stopped here, in the width that was laid out for it.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from amulet_local.safe_text import clean, right_to_left

# Around a line of a widget with text read from right to left: it must not move what other widgets
# have in the same row of the terminal.
_APART, _TOGETHER = Segment("\u2066"), Segment("\u2069")


class Gate(LineFilter):
    """Lets nothing through that a terminal obeys, but the styles that are drawn with."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same line, of the same width."""
        if all(_is_plain(segment) for segment in segments):
            return segments
        safe = [segment if segment.control else _safe(segment) for segment in segments]
        if any(right_to_left(segment.text) for segment in safe):
            return [_APART, *safe, _TOGETHER]
        return safe


def _is_plain(segment: Segment) -> bool:
    text, style, _ = segment
    return text.isascii() and text.isprintable() and not (style and style.link)


def _safe(segment: Segment) -> Segment:
    text, style, _ = segment
    safe = clean(text).replace("\n", " ").replace("\t", " ")
    safe += " " * (cell_len(text) - cell_len(safe))
    return Segment(safe, style.update_link(None) if style and style.link else style)
