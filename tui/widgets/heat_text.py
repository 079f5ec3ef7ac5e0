"""A reply, every token tinted by how far realignment moved it, or of a mix by who did, with a
cursor on one of them."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.actions import HEAT, bindings
from tui.heatmap.colours import fader_styles, level, ramp
from tui.heatmap.shares import marks, mover
from tui.heatmap.token_lines import Line, Run, lay_out
from tui.heatmap.tokens import Reading


class HeatText(ScrollView, can_focus=True):
    """Needs a reply with measures. cursor: the number of a token.

    Flips are underlined. What the reply was begun with by hand stands before it, without a tint.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"cursor", "untold"}
    BINDINGS: ClassVar[list[BindingType]] = bindings(HEAT)
    ALLOW_SELECT = False

    cursor: reactive[int] = reactive(0, layout=False)
    by_fader: reactive[bool] = reactive(False, layout=False)  # who moved it, not how far

    class Moved(Message):
        """The cursor is on another token."""

        def __init__(self, token: int) -> None:
            super().__init__()
            self.token = token

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._reading = reading
        self._before = reading.text[: reading.tokens[0].start]
        self._begun = bool(self._before)
        self._lines: list[Line] = []
        self._rows: dict[int, int] = {}  # where a token begins
        self._styles: list[Style] = []
        self._of_faders: list[Style] = []
        self._column = 0  # that moving up and down keeps to

    # -- layout -------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Wrap anew."""
        width = max(1, self.scrollable_content_region.width - 1)
        self._lines = lay_out(self._texts(), width)
        self._rows = {}
        for row, line in enumerate(self._lines):
            for run in line:
                self._rows.setdefault(self._number(run), row)
        self.virtual_size = Size(width + 1, len(self._lines))
        self._reveal()
        self.refresh()

    def _texts(self) -> list[str]:
        numbers = range(len(self._reading.tokens))
        texts = [self._reading.text_of(number) for number in numbers]
        if self.by_fader:
            told = zip(texts, marks(self._reading), strict=True)
            texts = [text + mark if text else "" for text, mark in told]
        return [self._before] * self._begun + texts

    def watch_by_fader(self) -> None:
        """Lay out anew: marks take room."""
        if self._lines:
            self.on_resize()

    def notify_style_update(self) -> None:
        """Colours are the theme's."""
        super().notify_style_update()
        self._styles, self._of_faders = [], []

    def _number(self, run: Run) -> int:
        """The token of a run; -1 for what was written by hand."""
        return run.token - self._begun

    def _run_of(self, token: int) -> Run:
        return next(run for run in self._lines[self._rows[token]] if self._number(run) == token)

    # -- drawing ------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """See ScrollView."""
        row, width = y + self.scroll_offset.y, self.size.width
        blank = self.visual_style.rich_style
        if row >= len(self._lines):
            return Strip.blank(width, blank)
        segments = [Segment(run.text, self._style(self._number(run))) for run in self._lines[row]]
        if len(segments) > 1 and segments[-1].text == " ":  # the word that it begins is below
            segments[-1] = Segment(" ", blank)
        return Strip(segments).adjust_cell_length(width, blank)

    def _style(self, token: int) -> Style:
        if token == self.cursor:
            return self.get_component_rich_style("cursor")
        return self.get_component_rich_style("untold") if token < 0 else self._tint(token)

    def _tint(self, token: int) -> Style:
        """How warm a token is, and whether it was a flip."""
        measures = self._reading.tokens[token].measures
        style = self._levels[level(measures.shift)]
        if self.by_fader:
            who = mover(measures)
            style = self.visual_style.rich_style if who is None else self._faders[who]
        return style + Style(underline=True) if measures.flip else style

    @property
    def _faders(self) -> list[Style]:
        if not self._of_faders:
            theme, coloured = self.app.theme_variables, not self.app.no_color
            self._of_faders = list(fader_styles(theme, coloured=coloured))
        return self._of_faders

    @property
    def _levels(self) -> list[Style]:
        if not self._styles:
            self._styles = list(ramp(self.app.theme_variables, coloured=not self.app.no_color))
        return self._styles

    # -- the cursor ---------------------------------------------------------------------------

    def validate_cursor(self, token: int) -> int:
        """It stays on a token."""
        return max(0, min(len(self._reading.tokens) - 1, token))

    def watch_cursor(self) -> None:
        """Show where it is, and tell."""
        self._reveal()
        self.refresh()
        self.post_message(self.Moved(self.cursor))

    def _reveal(self) -> None:
        if self.cursor in self._rows:
            region = Region(0, self._rows[self.cursor], 1, 1)
            self.scroll_to_region(region, animate=False, force=True)

    def point(self, token: int) -> None:
        """Put the cursor on a token."""
        self.cursor = token
        if self.cursor in self._rows:
            self._column = self._run_of(self.cursor).start

    def action_move(self, by: int) -> None:
        """To the token so many places on."""
        self.point(self.cursor + by)

    def action_line(self, by: int) -> None:
        """To the line so many down, where the cursor was before in it."""
        if not self._lines:
            return
        row = max(0, min(len(self._lines) - 1, self._rows[self.cursor] + by))
        if (token := self._at(self._column, row)) is not None:
            self.cursor = token

    def action_flip(self, by: int) -> None:
        """To the next flip, or the one before."""
        flips = self._reading.flips
        found = [flip for flip in flips if (flip - self.cursor) * by > 0]
        if found:
            self.point(min(found, key=lambda flip: abs(flip - self.cursor)))
        else:
            where = "after" if by > 0 else "before"
            self.notify(
                f"There is no flip {where} this one." if flips else "No token was flipped here."
            )

    def action_end(self, end: int) -> None:
        """To the first token, or the last."""
        self.point(len(self._reading.tokens) - 1 if end > 0 else 0)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is."""
        place = event.get_content_offset(self)
        if place is not None:
            token = self._at(place.x, place.y + self.scroll_offset.y)
            if token is not None:
                self.point(token)

    def _at(self, column: int, row: int) -> int | None:
        """The token at a place, or the one nearest in its line; None where there is none."""
        runs = self._lines[row] if row < len(self._lines) else ()
        measured = [run for run in runs if self._number(run) >= 0]
        before = [run for run in measured if run.start <= column]
        nearest = before[-1:] or measured[:1]
        return self._number(nearest[0]) if nearest else None
