"""The mixing desk: a fader for each of several preferences, moved by keys and mouse.

It shows the faders that it is given, and posts Moved with those that the user made of them. Beside
the chat they stand side by side as on a desk; where there is less room they are a list with bars.
Each has a number, so that no colour is needed to tell them apart. When what is moved takes effect,
is not known here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from amulet_local.strengths import BASE, MARKS
from tui.actions import DESK, bindings
from tui.markdown.sanitising import clean
from tui.session.steering import FaderChoice, heard
from tui.widgets.dial import HIGH, LOW, next_mark, step

_HEIGHT = round(HIGH - LOW) + 1  # rows of a standing fader: one for each whole strength
_NARROWEST, _WIDEST = 6, 14  # cells of a standing fader
_MARK = 6  # of the marks' names, beside the last
_NAME, _LEVEL, _FLAGS = 18, 7, 7  # cells of a lying one, beside its bar
_SHORTEST_BAR = 8

Faders = tuple[FaderChoice, ...]
Part = tuple[str, str]


class Desk(Widget, can_focus=True):
    """faders: as they are; changed in place by whoever hears of Moved. cursor: which is at hand."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "track", "silent", "at-hand", *(f"fader-{n}" for n in range(1, 7)),
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = bindings(DESK)
    FOCUS_ON_CLICK = False  # what is typed after a click is meant for the message

    faders: reactive[Faders] = reactive((), layout=True)
    cursor: reactive[int] = reactive(0)
    standing: reactive[bool] = reactive(False, layout=True)

    class Moved(Message):
        """The user has turned, muted or taken away faders; these are left."""

        def __init__(self, faders: Faders) -> None:
            super().__init__()
            self.faders = faders

    class Left(Message):
        """The user is done with the desk."""

    def validate_cursor(self, cursor: int) -> int:
        """It stays on a fader."""
        return max(0, min(len(self.faders) - 1, cursor))

    def watch_faders(self) -> None:
        """One may have gone."""
        self.cursor = self.validate_cursor(self.cursor)

    # -- drawing ------------------------------------------------------------------------------

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Faders that stand take their height, and a line for each name below."""
        return len(self.faders) + (_HEIGHT + 2) * self.standing

    def render(self) -> Content:
        """The faders, and their names and levels."""
        lines = [self._lying(number) for number in range(len(self.faders))]
        if self.standing:
            lines = [*self._standing(), Content(), *lines]
        return Content("\n").join(lines)

    def _standing(self) -> list[Content]:
        width = self._fader_width
        names = {round(mark): name for name, mark in MARKS.items()}
        rows = []
        for row in range(_HEIGHT):
            cells = [self._cell(number, row, width) for number in self._numbers]
            name = Content.styled(names.get(round(HIGH - row), ""), ".track")
            rows.append(Content().join([*cells, name]))
        heads = Content().join(self._head(number, width) for number in self._numbers)
        return [*rows, heads]

    def _cell(self, number: int, row: int, width: int) -> Content:
        """A row of a fader; strengths go up."""
        fader, here = self.faders[number], HIGH - row
        style, rest = self._style(number), width - 3
        low, high = sorted((BASE, min(HIGH, max(LOW, fader.strength))))
        if round(min(HIGH, max(LOW, fader.strength))) == here:
            return Content.assemble(("━◆━", style), " " * rest)
        mark = any(round(mark) == here for mark in MARKS.values())
        bar = ("┃", style) if low < here < high or here == BASE else ("│", ".track")
        side = ("╴" if mark else " ", ".track")
        return Content.assemble(" ", bar, side, " " * rest)

    def _head(self, number: int, width: int) -> Content:
        at_hand = self.has_focus and number == self.cursor
        sign = "▸" if at_hand else " "
        text = f"{sign}{number + 1}{self._flag(number)}"
        return Content.styled(set_cell_size(text, width), self._style(number))

    def _lying(self, number: int) -> Content:
        """A fader in a line: its name, a bar where none stands, its level, what silences it."""
        fader, style = self.faders[number], self._style(number)
        sign = "▸" if self.has_focus and number == self.cursor else " "
        bar = 0 if self.standing else max(_SHORTEST_BAR, self.size.width - self._beside)
        parts = [
            (f"{sign}{number + 1} ", style),
            (_fitted(clean(fader.title), self._name_cells), style),
            (" ", ""),
        ]
        cells: list[tuple[str, str]] = [("─", ".track")] * bar
        if bar:
            zero, thumb = self._column(BASE, bar), self._column(fader.strength, bar)
            for column in range(min(zero, thumb), max(zero, thumb)):
                cells[column] = ("━", style)
            for mark in MARKS.values():
                at = self._column(mark, bar)
                cells[at] = ("┿", style) if cells[at][0] == "━" else ("┼", ".track")
            cells[thumb] = ("◆", style)
        level = f"{fader.strength:+.2f}".rjust(_LEVEL)
        flags = f" {self._word(number)}".ljust(_FLAGS)
        parts += [*cells, (level, style), (flags, ".silent")]
        return Content.assemble(*parts)

    def _style(self, number: int) -> str:
        silent = self.faders[number] not in heard(self.faders)
        return ".silent" if silent else f".fader-{number + 1}"

    def _flag(self, number: int) -> str:
        return {"muted": "m", "solo": "s"}.get(self._word(number), " ")

    def _word(self, number: int) -> str:
        fader = self.faders[number]
        return "solo" if fader.solo else "muted" if fader.muted else ""

    @property
    def _numbers(self) -> range:
        return range(len(self.faders))

    @property
    def _fader_width(self) -> int:
        return max(_NARROWEST, min(_WIDEST, (self.size.width - _MARK) // max(1, len(self.faders))))

    @property
    def _name_cells(self) -> int:
        if self.standing:
            return max(1, self.size.width - 4 - _LEVEL - _FLAGS)
        return min(_NAME, max(6, self.size.width - 4 - _LEVEL - _FLAGS - 24))

    @property
    def _beside(self) -> int:
        """Cells of a line that are no bar."""
        return 3 + self._name_cells + 1 + _LEVEL + _FLAGS

    @staticmethod
    def _column(strength: float, width: int) -> int:
        share = (min(HIGH, max(LOW, strength)) - LOW) / (HIGH - LOW)
        return round(share * (width - 1))

    # -- moving -------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:
        """Keys that come at once behind the one that took away the last fader do nothing."""
        return bool(self.faders) or action == "leave"

    def _change(self, **changes: object) -> None:
        """The fader at hand, otherwise."""
        fader = replace(self.faders[self.cursor], **changes)  # type: ignore[arg-type]
        self._move((*self.faders[: self.cursor], fader, *self.faders[self.cursor + 1 :]))

    def _move(self, faders: Faders) -> None:
        if faders != self.faders:
            self.faders = faders
            self.post_message(self.Moved(faders))

    def _turn(self, strength: float) -> None:
        self._change(strength=strength, given=True)

    def action_across(self, by: int) -> None:
        """To the next fader where they stand; else up or down by so many tenths."""
        if self.standing:
            self.cursor += by
        else:
            self.action_turn(by)

    def action_along(self, by: int) -> None:
        """Up or down by a tenth where faders stand; else to the next one."""
        if self.standing:
            self.action_turn(by)
        else:
            self.cursor -= by

    def action_turn(self, steps: int) -> None:
        """So many tenths on."""
        self._turn(step(self.faders[self.cursor].strength, steps))

    def action_mark(self, direction: int) -> None:
        """To the next mark."""
        self._turn(next_mark(self.faders[self.cursor].strength, direction))

    def action_go(self, mark: str) -> None:
        """To the mark of this name."""
        self._turn(MARKS[mark])

    def action_select(self, number: int) -> None:
        """The fader of this number."""
        self.cursor = number - 1

    def action_mute(self) -> None:
        """Not heard, or heard again."""
        self._change(muted=not self.faders[self.cursor].muted)

    def action_solo(self) -> None:
        """Heard alone, with others that are solo."""
        self._change(solo=not self.faders[self.cursor].solo)

    def action_remove(self) -> None:
        """Take the fader at hand away."""
        at = self.cursor
        self._move((*self.faders[:at], *self.faders[at + 1 :]))

    def action_leave(self) -> None:
        """Done."""
        self.post_message(self.Left())

    # -- mouse --------------------------------------------------------------------------------

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the fader under the mouse; its flags are switched instead."""
        self.capture_mouse()
        event.stop()
        place = event.get_content_offset_capture(self)
        self.cursor = self._fader_at(place.x, place.y)
        if self._on_flags(place.x, place.y):
            self.release_mouse()
            self.action_mute()
        else:
            self._drag(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag it."""
        if self.app.mouse_captured is self:
            self._drag(event)

    def on_mouse_up(self) -> None:
        """Let go of it."""
        self.release_mouse()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel moves the fader under it by tenths."""
        self._roll(event, 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves the fader under it by tenths."""
        self._roll(event, -1)

    def _roll(self, event: events.MouseEvent, by: int) -> None:
        event.stop()
        place = event.get_content_offset_capture(self)
        self.cursor = self._fader_at(place.x, place.y)
        self.action_turn(by)

    def _drag(self, event: events.MouseEvent) -> None:
        event.stop()
        place = event.get_content_offset_capture(self)
        if self.standing and place.y < _HEIGHT:
            self._turn(max(LOW, min(HIGH, HIGH - place.y)))
        elif not self.standing:
            bar = max(_SHORTEST_BAR, self.size.width - self._beside)
            column = place.x - 3 - self._name_cells - 1
            if 0 <= column < bar:
                share = column / max(1, bar - 1)
                self._turn(round(LOW + share * (HIGH - LOW), 1))

    def _fader_at(self, column: int, row: int) -> int:
        if not self.standing:
            return row
        if row <= _HEIGHT:
            return column // self._fader_width
        return row - _HEIGHT - 2

    def _on_flags(self, column: int, row: int) -> bool:
        if self.standing and row <= _HEIGHT:
            return row == _HEIGHT  # the heads
        return column >= self.size.width - _FLAGS


def _fitted(text: str, width: int) -> str:
    """Exactly this wide; what is cut is seen to be cut."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…"
