"""The strength dial: a track from -2 to 8 with the paper's marks, moved by keys and mouse.

It tells how strongly replies are to be realigned, and posts Moved when the user changes that. Where
a strength came from, and when it takes effect, is not known here.
"""

from __future__ import annotations

import math
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from amulet_local.strengths import BASE, MARKS
from tui.actions import DIAL, bindings

LOW, HIGH = -2.0, 8.0
STEP = 0.1


def step(strength: float, steps: int) -> float:
    """The strength some tenths on, on a tenth; a mark in between is a stop.

    A strength beyond the track, from a preset, may come back but goes no farther.
    """
    tenths = round(strength / STEP, 9)  # 0.3 is three tenths, though not in binary
    wanted = (math.floor(tenths) if steps > 0 else math.ceil(tenths)) + steps
    target = max(min(LOW, strength), min(max(HIGH, strength), round(wanted * STEP, 1)))
    low, high = sorted((strength, target))
    passed = [mark for mark in MARKS.values() if low < mark < high]
    return passed[0] if passed and abs(steps) == 1 else target


def next_mark(strength: float, direction: int) -> float:
    """The next mark in a direction, or the end of the track."""
    places = sorted([LOW, *MARKS.values(), HIGH], reverse=direction < 0)
    return next((mark for mark in places if (mark - strength) * direction > 1e-9), strength)


class Dial(Widget, can_focus=True):
    """A horizontal track above the names of its marks."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"track", "filled", "thumb", "name", "reached"}
    BINDINGS: ClassVar[list[BindingType]] = bindings(DIAL)
    # What is typed after a click is meant for the message, not for the letters of the marks.
    FOCUS_ON_CLICK = False

    strength: reactive[float] = reactive(BASE)
    calibrated: reactive[float | None] = reactive(None)

    class Moved(Message):
        """The user has set the strength."""

        def __init__(self, strength: float) -> None:
            super().__init__()
            self.strength = strength

    class Left(Message):
        """The user is done with the dial."""

    def render(self) -> Content:
        """The track, and the names below it."""
        return Content("\n").join([self._track(), self._names()])

    def _track(self) -> Content:
        width = self.size.width
        cells = [("─", ".track")] * width
        zero, thumb = self._column(BASE), self._column(self.strength)
        for column in range(min(zero, thumb), max(zero, thumb)):
            cells[column] = ("━", ".filled")
        for mark in MARKS.values():
            column = self._column(mark)
            cells[column] = ("┿", ".filled") if cells[column][0] == "━" else ("┼", ".track")
        if self.calibrated is not None:
            cells[self._column(self.calibrated)] = ("▽", ".thumb")
        cells[thumb] = (
            "◆" if LOW <= self.strength <= HIGH else "◂▸"[self.strength > HIGH],
            ".thumb",
        )
        return Content.assemble(*cells)

    def _names(self) -> Content:
        """The names centred below their marks, moved aside where they would touch."""
        names = Content()
        for name, value in {f"{LOW:g}": LOW, **MARKS, f"{HIGH:g}": HIGH}.items():
            start = self._column(value) - len(name) // 2
            start = min(start, self.size.width - len(name))
            reached = abs(value - self.strength) < 0.005
            names = names.pad_right(max(bool(names), start - names.cell_length))
            names += Content.styled(name, ".reached" if reached else ".name")
        return names

    def _column(self, strength: float) -> int:
        """Where on the track a strength lies."""
        share = (min(HIGH, max(LOW, strength)) - LOW) / (HIGH - LOW)
        return round(share * (self.size.width - 1))

    def _strength_at(self, column: int) -> float:
        """The strength at a column: a mark, where one lies there."""
        for mark in MARKS.values():
            if self._column(mark) == column:
                return mark
        share = min(1.0, max(0.0, column / max(1, self.size.width - 1)))
        return round(LOW + share * (HIGH - LOW), 1)

    def _move(self, strength: float) -> None:
        if strength != self.strength:
            self.strength = strength
            self.post_message(self.Moved(strength))

    # -- keys ---------------------------------------------------------------------------------

    def action_step(self, steps: int) -> None:
        """So many tenths on."""
        self._move(step(self.strength, steps))

    def action_mark(self, direction: int) -> None:
        """To the next mark."""
        self._move(next_mark(self.strength, direction))

    def action_go(self, mark: str) -> None:
        """To the mark of this name."""
        self._move(MARKS[mark])

    def action_calibrated(self) -> None:
        """To the strength that calibration found."""
        if self.calibrated is None:
            self.notify(
                "No strength has been calibrated for this preset; see: amulet calibrate --help"
            )
        else:
            self._move(self.calibrated)

    def action_lowest(self) -> None:
        """To the lower end."""
        self._move(LOW)

    def action_highest(self) -> None:
        """To the upper end."""
        self._move(HIGH)

    def action_leave(self) -> None:
        """Done."""
        self.post_message(self.Left())

    # -- mouse --------------------------------------------------------------------------------

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Put the thumb where the mouse is, and hold it."""
        self.capture_mouse()
        self._drag(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the thumb."""
        if self.app.mouse_captured is self:
            self._drag(event)

    def on_mouse_up(self) -> None:
        """Let go of the thumb."""
        self.release_mouse()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel moves it by tenths."""
        event.stop()
        self.action_step(1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves it by tenths."""
        event.stop()
        self.action_step(-1)

    def _drag(self, event: events.MouseEvent) -> None:
        event.stop()
        self._move(self._strength_at(event.get_content_offset_capture(self).x))
