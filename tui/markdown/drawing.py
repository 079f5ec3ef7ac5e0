"""How blocks of Markdown are drawn: lines that hang right of a gutter, tables, and many in one.

Everything wraps to any width without losing a character, and is kept once drawn: of a text that
grows, only what differs is drawn anew. What is selected in a stack is told in places of its `text`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.segment import Segment
from textual.content import Content
from textual.css.styles import RulesMap
from textual.geometry import Offset
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual

from tui.markdown.parsing import Block
from tui.markdown.search_marks import first_row
from tui.markdown.styled import Styled

# Names of the styles that drawing asks for, besides those that blocks name in their text.
STYLES = {"gutter", "heading", "title", "code", "rule"}

_BETWEEN = " │ "
_UNDER_HEAD = "─┼─"
_NARROWEST = 4


class Hanging:
    """A block: its marker stands beside the first line, the other lines hang below it.

    A gutter that takes more than half of the width is cut. Drawn once, it is kept.
    """

    def __init__(self, block: Block) -> None:
        self.block = block
        self._content = block.styled.content
        self._table = Table(block.rows, block.to_right) if block.kind == "table" else None
        self._kept: tuple[object, list[Strip]] = (None, [])

    def lines(self, width: int) -> list[str]:
        """The lines of text, before they are wrapped, with their gutter."""
        first, *others = self._text(width).plain.split("\n")
        return [self.block.first + first, *(self.block.rest + other for other in others)]

    def height(self, width: int) -> int:
        """The rows it takes, without the gap above."""
        return self._text(width).get_height({}, self._room(width))

    def found_row(self, width: int) -> int | None:
        """The row of the first word that a search found, if it has one."""
        return first_row(self._text(width), self._room(width))

    def draw(self, width: int, line: int, style: Style, options: RenderOptions) -> list[Strip]:
        """Its rows; `line` counts the lines above it of the text that selections are told in."""
        if options.selection is not None:
            selection = _shift(options.selection, -len(self.block.rest), -line)
            return self._draw(width, line, style, replace(options, rules={}, selection=selection))
        key = (width, line, style)
        if self._kept[0] != key:
            self._kept = (key, self._draw(width, line, style, replace(options, rules={})))
        return self._kept[1]

    def _draw(self, width: int, line: int, style: Style, options: RenderOptions) -> list[Strip]:
        inner = style + options.get_style(f".{self._style}") if self._style else style
        room = self._room(width)
        strips = self._text(width).render_strips(room, None, inner, options)
        strips = [_placed(strip, len(self.block.rest), line) for strip in strips]
        if self.block.kind == "code":
            edge = Strip([Segment(" ", inner.rich_style)])
            strips = [
                Strip.join([edge, strip.extend_cell_length(room + 1, inner.rich_style)])
                for strip in strips
            ]
        if gutter := self._gutter(width):
            beside = (style + options.get_style(".gutter")).rich_style
            first = Strip([Segment(self.block.first[-gutter:], beside)])
            rest = Strip([Segment(self.block.rest[-gutter:], beside)])
            strips = [Strip.join([rest if row else first, s]) for row, s in enumerate(strips)]
        return strips

    def _text(self, width: int) -> Content:
        """What stands right of the gutter."""
        return self._table.lay_out(self._room(width)) if self._table else self._content

    @property
    def _style(self) -> str:
        match self.block.kind:
            case "heading":
                return "title" if self.block.level == 1 else "heading"
            case "code" | "rule":
                return self.block.kind
        return ""

    def _gutter(self, width: int) -> int:
        return min(cell_len(self.block.rest), width // 2)

    def _room(self, width: int) -> int:
        edges = 2 if self.block.kind == "code" else 0
        return max(1, width - self._gutter(width) - edges)


class Stack(Visual):
    """Blocks one below the other, as one visual."""

    def __init__(self, blocks: Sequence[Hanging]) -> None:
        self.blocks = blocks

    def text(self, width: int) -> str:
        """What can be selected."""
        return "\n".join("\n" * it.block.gap + "\n".join(it.lines(width)) for it in self.blocks)

    def found_row(self, width: int) -> int | None:
        """See Hanging."""
        above = 0
        for it in self.blocks:
            above += it.block.gap
            if (row := it.found_row(width)) is not None:
                return above + row
            above += it.height(width)
        return None

    def render_strips(
        self, width: int, height: int | None, style: Style, options: RenderOptions
    ) -> list[Strip]:
        """See Visual."""
        strips: list[Strip] = []
        line = 0
        for it in self.blocks:
            if it.block.gap:
                strips.append(Strip.blank(width, style.rich_style))
                line += 1
            strips += it.draw(width, line, style, options)
            line += len(it.lines(width))
        return strips[:height]

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """See Visual."""
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        """See Visual."""
        return sum(it.height(width) + it.block.gap for it in self.blocks)


def _shift(selection: Selection, columns: int, lines: int) -> Selection:
    """The same selection, in places counted from elsewhere."""
    return Selection(
        *(
            None if place is None else Offset(max(0, place.x + columns), place.y + lines)
            for place in selection
        )
    )


def _placed(strip: Strip, columns: int, lines: int) -> Strip:
    """Have a strip tell the mouse that its text is so much farther right and down."""
    first = next((segment.style for segment in strip if segment.style), None)
    place = first.meta.get("offset") if first and (columns or lines) else None
    return strip.apply_offsets(place[0] + columns, place[1] + lines) if place else strip


class Table(Visual):
    """Rows of as many cells each, the head first; the widest columns wrap where room is short.

    to_right: the columns, counted from 0, whose cells end in one line, as numbers do.
    """

    def __init__(self, rows: Sequence[Sequence[Styled]], to_right: Collection[int] = ()) -> None:
        self._to_right = to_right
        self._rows = [[cell.content for cell in row] for row in rows]
        self._laid_out: tuple[int, Content] = (0, Content())

    def render_strips(
        self, width: int, height: int | None, style: Style, options: RenderOptions
    ) -> list[Strip]:
        """See Visual."""
        return self.lay_out(width).render_strips(width, height, style, options)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """See Visual."""
        return self.lay_out(container_width).get_optimal_width(rules, container_width)

    def get_height(self, rules: RulesMap, width: int) -> int:
        """See Visual."""
        return self.lay_out(width).get_height(rules, width)

    def lay_out(self, width: int) -> Content:
        """The table as text for this width; the last result is kept."""
        if self._laid_out[0] != width:
            self._laid_out = (width, self._lines(width))
        return self._laid_out[1]

    def _lines(self, width: int) -> Content:
        columns = len(self._rows[0])
        room = width - cell_len(_BETWEEN) * (columns - 1)
        if room < columns * _NARROWEST:
            return Content("\n").join(Content(_BETWEEN).join(row) for row in self._rows)
        rule = Content.styled(_BETWEEN, ".rule")
        widths = _fit(
            [max(row[at].cell_length for row in self._rows) for at in range(columns)], room
        )
        lines: list[Content] = []
        for index, row in enumerate(self._rows):
            cells = [cell.wrap(width) for cell, width in zip(row, widths, strict=True)]
            for line in range(max(map(len, cells))):
                parts = [
                    self._padded(cell[line] if line < len(cell) else Content(), at, widths[at])
                    for at, cell in enumerate(cells)
                ]
                text = rule.join(parts)
                lines.append(text if index else text.stylize(".strong"))
            if not index:
                under = _UNDER_HEAD.join("─" * width for width in widths)
                lines.append(Content.styled(under, ".rule"))
        return Content("\n").join(lines)

    def _padded(self, cell: Content, column: int, width: int) -> Content:
        """A line of a cell, as wide as its column."""
        if column not in self._to_right:
            return cell.truncate(width, pad=True)
        cell = cell.rstrip()
        return cell.pad_left(width - cell.cell_length)


def _fit(widths: list[int], room: int) -> list[int]:
    """Widths that come to `room` at most: the widest give way first, to the same width."""
    widths = [max(1, width) for width in widths]
    while (excess := sum(widths) - room) > 0:
        widest = max(widths)
        next_widest = max((width for width in widths if width < widest), default=0)
        count = widths.count(widest)
        less = min(widest - next_widest, -(-excess // count))
        widths = [width - less if width == widest else width for width in widths]
    return widths
